// Words of a prompt that stand for their own vectors instead of tokens of the vocabulary (textual inversion).

/** A word and the tokens that replace it. They stay in one chunk. */
export interface Trigger {
  readonly word: string;
  readonly tokens: readonly number[];
}

/** Runs of letters and digits. */
const RUN = /[\p{L}\p{N}]+/gu;

/**
 * Finds words in texts. A word is found in any case; if it begins or ends with a letter or digit, there must be no
 * other next to it: `cat` is in `(Cat-like)` but not in `cats` or `cat2`. If several begin at one position, the longest
 * counts.
 *
 * stable-diffusion.cpp finds a word anywhere, even inside other words. AUTOMATIC1111's web UI compares tokens: it
 * misses a word that ends with a punctuation mark before another one, and finds `cat` in `cat2`.
 */
export class WordFinder<T> {
  /** By lower-case word. */
  readonly #words = new Map<string, T>();
  /** The lengths of the words that begin with a character, the longest first. */
  readonly #lengths = new Map<string, number[]>();

  /** @param words distinct ignoring case, none of them empty. */
  constructor(words: Iterable<readonly [word: string, what: T]>) {
    for (const [word, what] of words) {
      this.#words.set(word.toLowerCase(), what);
      const first = beginning(word, 0);
      this.#lengths.set(first, [...new Set([...(this.#lengths.get(first) ?? []), word.length])]);
    }
    for (const lengths of this.#lengths.values()) lengths.sort((a, b) => b - a);
  }

  /** Splits a text into the words found and the text between them. */
  split(text: string): (string | T)[] {
    if (this.#words.size === 0) return text === '' ? [] : [text];
    const inRun = insideRuns(text);
    const parts: (string | T)[] = [];
    let start = 0;
    for (let i = 0; i < text.length; ) {
      const length = inRun[i] ? 0 : this.#lengthAt(text, i, inRun);
      if (length > 0) {
        if (i > start) parts.push(text.slice(start, i));
        parts.push(this.#words.get(text.slice(i, i + length).toLowerCase()) as T);
        start = i + length;
      }
      i += Math.max(length, 1);
    }
    if (start < text.length) parts.push(text.slice(start));
    return parts;
  }

  /** The length of the word that begins there, or 0. */
  #lengthAt(text: string, start: number, inRun: Uint8Array): number {
    const lengths = this.#lengths.get(beginning(text, start)) ?? [];
    const found = lengths.find((length) => {
      const end = start + length;
      return end <= text.length && !inRun[end] && this.#words.has(text.slice(start, end).toLowerCase());
    });
    return found ?? 0;
  }
}

/** 1 for each position of a text between two letters or digits. */
function insideRuns(text: string): Uint8Array {
  const places = new Uint8Array(text.length + 1);
  for (const { 0: run, index } of text.matchAll(RUN)) places.fill(1, index + 1, index + run.length);
  return places;
}

function beginning(text: string, at: number): string {
  return (text[at] as string).toLowerCase();
}
