// Byte-pair merging of one word in O(n log n): a linked list of symbols and a heap of their possible merges.
import { isTurnOver, nextTurn } from '../async/slices.ts';

/** What the {@link Merges} say of a pair that does not merge. */
export const NO_MERGE = -1;

/** The merges of a byte-pair vocabulary. */
export interface Merges {
  /** The rank of the merge of two neighboring tokens, or {@link NO_MERGE}. Of two merges, the lower rank is first. */
  rank(left: number, right: number): number;
  /** The token that the merge of a rank makes. */
  token(rank: number): number;
}

/** Range of positions in a heap entry `rank * POSITIONS + position`: lowest rank first, then leftmost. */
const POSITIONS = 2 ** 32;
const NONE = -1;
/** Symbols between two looks at the clock: well below a millisecond. */
const SYMBOLS_PER_LOOK = 256;

/**
 * Merges the symbols of a word, always the earliest-ranked pair and among equals the leftmost, until none is left
 * (Sennrich et al. 2016, algorithm 1), and appends the resulting tokens to `out`.
 */
export async function mergeWord(symbols: number[], merges: Merges, out: number[]): Promise<void> {
  const next: number[] = [];
  const previous: number[] = [];
  const heap: number[] = [];
  const joined = (position: number): number => {
    const after = next[position] as number;
    if (after >= symbols.length) return NO_MERGE;
    return merges.rank(symbols[position] as number, symbols[after] as number);
  };
  const offer = (position: number) => {
    const rank = joined(position);
    if (rank !== NO_MERGE) push(heap, rank * POSITIONS + position);
  };

  for (let i = 0; i < symbols.length; i++) {
    next.push(i + 1);
    previous.push(i - 1);
    offer(i);
    if (i % SYMBOLS_PER_LOOK === SYMBOLS_PER_LOOK - 1 && isTurnOver()) await nextTurn();
  }
  for (let tried = 1; heap.length > 0; tried++) {
    if (tried % SYMBOLS_PER_LOOK === 0 && isTurnOver()) await nextTurn();
    const entry = pop(heap);
    const position = entry % POSITIONS;
    const rank = (entry - position) / POSITIONS;
    // An earlier merge may have consumed this symbol (NONE pairs with nothing) or its neighbor.
    if (joined(position) !== rank) continue;
    const taken = next[position] as number;
    const after = next[taken] as number;
    symbols[position] = merges.token(rank);
    symbols[taken] = NONE;
    next[position] = after;
    if (after < symbols.length) previous[after] = position;
    if (position > 0) offer(previous[position] as number);
    offer(position);
  }
  for (let i = 0; i < symbols.length; i = next[i] as number) out.push(symbols[i] as number);
}

function push(heap: number[], value: number): void {
  let i = heap.length;
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if ((heap[parent] as number) <= value) break;
    heap[i] = heap[parent] as number;
    i = parent;
  }
  heap[i] = value;
}

function pop(heap: number[]): number {
  const top = heap[0] as number;
  const value = heap.pop() as number;
  const size = heap.length;
  if (size === 0) return top;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= size) break;
    if (child + 1 < size && (heap[child + 1] as number) < (heap[child] as number)) child++;
    if ((heap[child] as number) >= value) break;
    heap[i] = heap[child] as number;
    i = child;
  }
  heap[i] = value;
  return top;
}
