// The merges of a byte-pair vocabulary of any size, in a hash table that is built in milliseconds.
import { isTurnOver, nextTurn } from '../async/slices.ts';
import { type Merges, NO_MERGE } from './merge.ts';

/** Merges between two looks at the clock. */
const MERGES_PER_LOOK = 8192;

/** Which tokens each merge joins, and the token that it makes, by rank. */
export interface MergeList {
  readonly lefts: Int32Array;
  readonly rights: Int32Array;
  readonly tokens: Int32Array;
}

/**
 * Builds a table with open addressing: a `Map` of pairs of 18-bit tokens would take ten times as long.
 *
 * @returns undefined if a pair is listed twice.
 */
export async function mergeTable({ lefts, rights, tokens }: MergeList): Promise<Merges | undefined> {
  const bits = Math.ceil(Math.log2(2 * tokens.length + 2));
  /** Each slot has a rank plus one, or 0. Half of all slots are free. */
  const slots = new Int32Array(2 ** bits);
  /** The slot of a pair, or the free one in which it belongs. */
  const find = (left: number, right: number): number => {
    const hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    let slot = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35) >>> (32 - bits);
    for (;;) {
      const rank = (slots[slot] as number) - 1;
      if (rank === NO_MERGE || (lefts[rank] === left && rights[rank] === right)) return slot;
      slot = (slot + 1) & (slots.length - 1);
    }
  };
  for (let first = 0; first < tokens.length; first += MERGES_PER_LOOK) {
    if (isTurnOver()) await nextTurn();
    const end = Math.min(first + MERGES_PER_LOOK, tokens.length);
    for (let rank = first; rank < end; rank++) {
      const slot = find(lefts[rank] as number, rights[rank] as number);
      if (slots[slot] !== 0) return undefined;
      slots[slot] = rank + 1;
    }
  }
  return {
    rank: (left, right) => (slots[find(left, right)] as number) - 1,
    token: (rank) => tokens[rank] as number,
  };
}
