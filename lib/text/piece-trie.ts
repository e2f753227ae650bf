// The pieces of a unigram vocabulary as a trie of bytes.
import { isTurnOver, nextTurn } from '../async/slices.ts';
import type { PackedStrings } from './packed-strings.ts';

/** Pieces between two looks at the clock. */
const PIECES_PER_LOOK = 1024;
const ROOT = 0;
/** What {@link PieceTrie.child} gives if no piece goes on with a byte. */
export const NO_NODE = -1;
/** What {@link PieceTrie.piece} gives if no piece ends at a node. */
export const NO_PIECE = -1;

/** Nodes are numbered from the root; the edges are in a hash table with open addressing. */
export class PieceTrie {
  readonly root = ROOT;
  /** Each slot has the key `256 * node + byte` of an edge, or -1, and the node it leads to. */
  #keys = new Float64Array(1024).fill(-1);
  #nodes = new Int32Array(1024);
  #count = 1;
  readonly #pieces: number[] = [NO_PIECE];

  /** Adds the strings for which `isPiece` is true; of equal ones the last counts. */
  static async build(strings: PackedStrings, isPiece: (i: number) => boolean): Promise<PieceTrie> {
    const trie = new PieceTrie();
    for (let i = 0; i < strings.starts.length; i++) {
      if (i % PIECES_PER_LOOK === 0 && isTurnOver()) await nextTurn();
      if (isPiece(i)) trie.#add(strings.bytes, strings.starts[i] as number, strings.ends[i] as number, i);
    }
    return trie;
  }

  child(node: number, byte: number): number {
    const slot = this.#find(256 * node + byte);
    return this.#keys[slot] === -1 ? NO_NODE : (this.#nodes[slot] as number);
  }

  piece(node: number): number {
    return this.#pieces[node] as number;
  }

  #add(bytes: Uint8Array, start: number, end: number, piece: number): void {
    let node = ROOT;
    for (let i = start; i < end; i++) {
      const key = 256 * node + (bytes[i] as number);
      const slot = this.#find(key);
      if (this.#keys[slot] === -1) {
        this.#keys[slot] = key;
        this.#nodes[slot] = this.#count;
        node = this.#count++;
        this.#pieces.push(NO_PIECE);
        if (2 * this.#count > this.#keys.length) this.#grow();
      } else node = this.#nodes[slot] as number;
    }
    this.#pieces[node] = piece;
  }

  /** The slot of a key, or the free one in which it belongs. */
  #find(key: number): number {
    const keys = this.#keys;
    const hash = Math.imul(key, 0x9e3779b1);
    let slot = (hash ^ (hash >>> 15)) & (keys.length - 1);
    while (keys[slot] !== -1 && keys[slot] !== key) slot = (slot + 1) & (keys.length - 1);
    return slot;
  }

  #grow(): void {
    const [keys, nodes] = [this.#keys, this.#nodes];
    this.#keys = new Float64Array(4 * keys.length).fill(-1);
    this.#nodes = new Int32Array(4 * keys.length);
    for (let i = 0; i < keys.length; i++) {
      if (keys[i] === -1) continue;
      const slot = this.#find(keys[i] as number);
      this.#keys[slot] = keys[i] as number;
      this.#nodes[slot] = nodes[i] as number;
    }
  }
}
