// The normalization of sentencepiece: a table of character sequences that it compiled from NFKC and more.
import { isTurnOver, nextTurn } from '../async/slices.ts';
import { corruptVocabulary } from './vocabulary-error.ts';

/** Longer clusters are mapped character by character. */
const CLUSTER_BYTES = 6;
/** In bytes; the longest of NFKC has 33. */
const MAX_REPLACEMENT = 256;
/** The bit of a unit of the trie that is a value. */
const IS_VALUE = 2 ** 31;
const BLOCK = 256;
const PARTS_PER_JOIN = 1024;
const CLUSTERS = new Intl.Segmenter('en', { granularity: 'grapheme' });
/** The beginning of a text in printable ASCII, without the last character, which may have marks. */
const PLAIN = /^[ -~]*(?=[ -~]|$)/;

/**
 * The `precompiled_charsmap` of a sentencepiece model: the size of a double-array trie (Darts-clone), the trie, and the
 * replacements, each with a NUL at its end. It is applied as transformers does it: to each grapheme cluster of up to 5
 * bytes as a whole, otherwise to each character, and of several entries that match, the shortest counts.
 */
export class CharacterMap {
  readonly #trie: Uint32Array;
  readonly #replacements: Buffer;
  /** Whether {@link PLAIN} text stays as it is. */
  readonly #keepsPlain: boolean;

  /**
   * @param path of its file, for error messages.
   * @throws DiffusionError `ERR_MODEL_CORRUPT` if the sizes are not right.
   */
  constructor(blob: Uint8Array, path: string) {
    const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
    const size = blob.byteLength < 4 ? 0 : view.getUint32(0, true);
    if (size === 0 || size % 4 !== 0 || size > blob.byteLength - 4) {
      const found = `${blob.byteLength} bytes of which ${size} are the trie`;
      throw corruptVocabulary(
        path,
        `a character map of a trie in units of 4 bytes and its replacements, found ${found}`,
      );
    }
    this.#trie = new Uint32Array(size / 4);
    for (let i = 0; i < size / 4; i++) this.#trie[i] = view.getUint32(4 + 4 * i, true);
    this.#replacements = Buffer.from(blob.buffer, blob.byteOffset + 4 + size, blob.byteLength - 4 - size);
    for (let start = 0; start < this.#replacements.length; ) {
      const end = this.#replacements.indexOf(0, start);
      if (end < 0 || end - start > MAX_REPLACEMENT) {
        throw corruptVocabulary(
          path,
          `replacements of at most ${MAX_REPLACEMENT} bytes in the character map, found more`,
        );
      }
      start = end + 1;
    }
    if (this.#trie.some((unit) => unit >= IS_VALUE && unit - IS_VALUE >= this.#replacements.length)) {
      throw corruptVocabulary(path, 'a character map with all its replacements, found fewer');
    }
    const printable = Array.from({ length: 0x7f - 0x20 }, (_, i) => String.fromCharCode(0x20 + i));
    this.#keepsPlain = printable.every((character) => this.#replacement(character) === undefined);
  }

  async apply(text: string): Promise<string> {
    const plain = this.#keepsPlain ? (PLAIN.exec(text)?.[0].length ?? 0) : 0;
    const joined = [text.slice(0, plain)];
    let parts: string[] = [];
    for (const segment of clustersOf(text.slice(plain))) {
      if (isTurnOver()) await nextTurn();
      if (parts.length >= PARTS_PER_JOIN) {
        joined.push(parts.join(''));
        parts = [];
      }
      const whole = segment.length < CLUSTER_BYTES && Buffer.byteLength(segment) < CLUSTER_BYTES;
      const replaced = whole ? this.#replacement(segment) : undefined;
      if (replaced !== undefined) {
        parts.push(replaced);
        continue;
      }
      for (const character of segment) {
        if (isTurnOver()) await nextTurn();
        parts.push(this.#replacement(character) ?? character);
      }
    }
    return joined.join('') + parts.join('');
  }

  /** The replacement of the shortest beginning of a text that has one. */
  #replacement(text: string): string | undefined {
    const trie = this.#trie;
    let node = offset(trie[0] as number);
    for (const byte of Buffer.from(text)) {
      if (byte === 0) return undefined;
      node ^= byte;
      const unit = trie[node];
      // Bits 0 to 7 are the byte that leads here, and bit 8 says that a value follows.
      if (unit === undefined || unit >= IS_VALUE || (unit & 0xff) !== byte) return undefined;
      node ^= offset(unit);
      if (unit & 0x100) return this.#replacementAt((trie[node] ?? 0) & 0x7fffffff);
    }
    return undefined;
  }

  #replacementAt(start: number): string {
    const end = this.#replacements.indexOf(0, start);
    return this.#replacements.toString('utf8', start, end);
  }
}

/** Splits block by block: in one piece, the time of `Intl.Segmenter` grows with the square of the length. */
function* clustersOf(text: string): Generator<string> {
  for (let start = 0, size = BLOCK; start < text.length; ) {
    const isHalf = /[\ud800-\udbff]/.test(text.charAt(start + size - 1));
    const block = text.slice(start, start + size + (isHalf ? 1 : 0));
    const clusters = Array.from(CLUSTERS.segment(block), ({ segment }) => segment);
    if (start + block.length < text.length) {
      // The last one may go on after the block.
      if (clusters.length === 1) {
        size *= 2;
        continue;
      }
      clusters.pop();
    }
    size = BLOCK;
    for (const cluster of clusters) {
      start += cluster.length;
      yield cluster;
    }
  }
}

/** How far a unit's children are, in Darts-clone's encoding: 21 bits, in steps of 256 if bit 9 is set. */
function offset(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
