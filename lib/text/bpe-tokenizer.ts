// The tokenizer of Qwen's language models: byte-level BPE, equal to `Qwen2Tokenizer` of transformers.
import { isTurnOver, nextTurn } from '../async/slices.ts';
import { DiffusionError, quote } from '../core/errors.ts';
import { type Merges, mergeWord } from './merge.ts';
import { normalize } from './normalize.ts';

/** A vocabulary of byte-level BPE. */
export interface BpeVocabulary {
  /** The token of each byte. */
  readonly byteTokens: Int32Array;
  readonly merges: Merges;
  /** Tokens that no text has, `<|im_start|>` and the like, by name. */
  readonly controls: ReadonlyMap<string, number>;
  /** The number of tokens. */
  readonly size: number;
}

/**
 * Qwen's words: contractions, letters with one character before them, single digits, runs of anything else with a space
 * before and line ends after them, and white space, the last of which belongs to the next word. `ſ` is a lower-case s.
 */
const WORD =
  /'(?:[sSſtTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\p{White_Space}\p{L}\p{N}]+[\r\n]*|\p{White_Space}*[\r\n]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/**
 * The byte-level BPE of Qwen 2, 2.5 and 3. Text is normalized to NFC and split into words; each word's UTF-8 bytes are
 * merged. Half a surrogate pair counts as U+FFFD. Letters and digits follow the Unicode version of Node.js.
 *
 * Text never becomes a control token, whatever it says: a prompt cannot end its turn in a template, which is made of
 * {@link control} tokens. transformers does the same with `split_special_tokens`.
 */
export class BpeTokenizer {
  readonly size: number;
  readonly #vocabulary: BpeVocabulary;

  constructor(vocabulary: BpeVocabulary) {
    this.#vocabulary = vocabulary;
    this.size = vocabulary.size;
  }

  /** @throws DiffusionError `ERR_MODEL_UNSUPPORTED` if the vocabulary has no such control token. */
  control(name: string): number {
    const token = this.#vocabulary.controls.get(name);
    if (token !== undefined) return token;
    const message = `Expected a vocabulary with the control token ${quote(name)} but the model's has none`;
    throw new DiffusionError('ERR_MODEL_UNSUPPORTED', message);
  }

  /**
   * The tokens of a text of any length. Time grows with n log n of the longest word and is spread over turns of the
   * event loop.
   */
  async encode(text: string): Promise<number[]> {
    const tokens: number[] = [];
    for (const [word] of normalize(text).matchAll(WORD)) {
      if (isTurnOver()) await nextTurn();
      const bytes = Buffer.from(word);
      const symbols: number[] = [];
      for (let i = 0; i < bytes.length; i++) {
        symbols.push(this.#vocabulary.byteTokens[bytes[i] as number] as number);
      }
      if (symbols.length === 1) tokens.push(symbols[0] as number);
      else await mergeWord(symbols, this.#vocabulary.merges, tokens);
    }
    return tokens;
  }
}
