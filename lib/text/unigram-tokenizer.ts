// The tokenizer of T5: the unigram language model of sentencepiece, equal to `T5Tokenizer` of transformers.
import { isTurnOver, nextTurn } from '../async/slices.ts';
import type { CharacterMap } from './character-map.ts';
import { NO_NODE, NO_PIECE, type PieceTrie } from './piece-trie.ts';

/** A vocabulary of sentencepiece. */
export interface UnigramVocabulary {
  /** Its pieces, without the control tokens. */
  readonly trie: PieceTrie;
  /** The log probability of each piece. */
  readonly scores: Float64Array;
  /** Undefined if text is used as it is. */
  readonly characters: CharacterMap | undefined;
  readonly unknownToken: number;
  readonly endToken: number;
  readonly padToken: number;
}

/** Stands for a space, and is before each word. */
const SPACE = '▁';
const WORD = /( +|▁)?([^ ▁]+)|( +|▁)/gu;
const UNKNOWN_PENALTY = 10;
/** Bytes between two looks at the clock. */
const BYTES_PER_LOOK = 256;

/**
 * The unigram tokenizer (Kudo 2018). Text is normalized by the vocabulary's character map, trailing white space and all
 * but one of several spaces are dropped, and each word is divided into the pieces with the greatest total score. What no
 * piece covers becomes one unknown token. Half a surrogate pair counts as U+FFFD.
 *
 * Text never becomes a control token, whatever it says.
 */
export class UnigramTokenizer {
  readonly endToken: number;
  readonly padToken: number;
  readonly #vocabulary: UnigramVocabulary;
  readonly #unknownScore: number;

  constructor(vocabulary: UnigramVocabulary) {
    this.#vocabulary = vocabulary;
    this.endToken = vocabulary.endToken;
    this.padToken = vocabulary.padToken;
    this.#unknownScore = vocabulary.scores.reduce((least, score) => Math.min(least, score), 0) - UNKNOWN_PENALTY;
  }

  /**
   * The tokens of a text of any length, without the end token. Time grows with the length of the text and is spread over
   * turns of the event loop.
   */
  async encode(text: string): Promise<number[]> {
    const wellFormed = text.replaceAll(/\p{Surrogate}/gu, '\ufffd');
    const normal = (await this.#vocabulary.characters?.apply(wellFormed)) ?? wellFormed;
    // Text may now be 18 times as long.
    if (isTurnOver()) await nextTurn();
    const tokens: number[] = [];
    const lattice = new Lattice();
    // Each mark begins a word, as does the text.
    for (const [, , letters = ''] of trimEnd(normal).matchAll(WORD)) {
      if (isTurnOver()) await nextTurn();
      await this.#encodeWord(SPACE + letters, lattice, tokens);
    }
    return tokens;
  }

  /** The best path (Viterbi 1967) through the pieces of a word. */
  async #encodeWord(text: string, lattice: Lattice, tokens: number[]): Promise<void> {
    const { trie, scores, unknownToken } = this.#vocabulary;
    const length = lattice.begin(text);
    const { word, best, pieces, starts } = lattice;
    const offer = (start: number, end: number, piece: number, score: number) => {
      const total = (best[start] as number) + score;
      if (!(total > (best[end] as number))) return;
      best[end] = total;
      pieces[end] = piece;
      starts[end] = start;
    };
    for (let start = 0, looked = 0; start < length; ) {
      if (start - looked >= BYTES_PER_LOOK) {
        looked = start;
        if (isTurnOver()) await nextTurn();
      }
      const next = start + characterBytes(word[start] as number);
      let isCovered = false;
      let node = trie.root;
      for (let end = start; end < length; ) {
        node = trie.child(node, word[end] as number);
        if (node === NO_NODE) break;
        end++;
        const piece = trie.piece(node);
        if (piece === NO_PIECE) continue;
        offer(start, end, piece, scores[piece] as number);
        isCovered ||= end === next;
      }
      if (!isCovered) offer(start, next, unknownToken, this.#unknownScore);
      start = next;
    }
    const path: number[] = [];
    for (let end = length; end > 0; end = starts[end] as number) {
      const piece = pieces[end] as number;
      if (piece !== unknownToken || path.at(-1) !== unknownToken) path.push(piece);
    }
    for (let i = path.length - 1; i >= 0; i--) tokens.push(path[i] as number);
  }
}

/** The positions of a word. One text's words share it: arrays for each would keep the garbage collector busy. */
class Lattice {
  /** The word in UTF-8. */
  word = Buffer.alloc(0);
  /** Of the best path to each position: its score, its last piece, and where that begins. */
  best = new Float64Array(0);
  pieces = new Int32Array(0);
  starts = new Int32Array(0);

  /** Begins a word, and returns its length in bytes. */
  begin(text: string): number {
    const length = Buffer.byteLength(text);
    if (length >= this.best.length) {
      const positions = 2 * length + 64;
      this.word = Buffer.alloc(positions);
      this.best = new Float64Array(positions);
      this.pieces = new Int32Array(positions);
      this.starts = new Int32Array(positions);
    }
    this.word.write(text);
    this.best.fill(Number.NEGATIVE_INFINITY, 0, length + 1);
    this.best[0] = 0;
    return length;
  }
}

/** The length of a character in UTF-8 by its first byte. */
function characterBytes(first: number): number {
  return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/** Unlike `String.trimEnd`, by Unicode's definition of white space, and in time linear in it, unlike an expression. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && /\p{White_Space}/u.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}
