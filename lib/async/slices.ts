// Long work on the thread of JavaScript in slices, between which the event loop has its turn.

// The real ones: fake timers of tests replace the globals.
import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';

/** Milliseconds that all sliced work together takes of one turn of the event loop. */
const SLICE = 4;

let deadline = 0;
let last: Promise<void> = Promise.resolve();

/** Whether sliced work has had its share of this turn of the event loop. */
export function isTurnOver(): boolean {
  return performance.now() >= deadline;
}

/** Waits for a turn of the event loop to go on in. What waits at the same time has one turn after the other, in order. */
export function nextTurn(): Promise<void> {
  last = last.then(async () => {
    await setImmediate();
    deadline = performance.now() + SLICE;
  });
  return last;
}

/** Runs `body` for each row of an image, from the first. */
export async function eachRow(rows: number, body: (row: number) => void): Promise<void> {
  for (let row = 0; row < rows; row++) {
    if (isTurnOver()) await nextTurn();
    body(row);
  }
}
