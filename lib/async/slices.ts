// Runs long work on the JavaScript thread in slices, with turns of the event loop in between.

// The real ones: fake timers in tests replace the globals.
import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';

/** Milliseconds of each turn of the event loop that all sliced work together may use. */
const SLICE = 4;

let deadline = 0;
let last: Promise<void> = Promise.resolve();

/** Whether sliced work has used up its share of this turn of the event loop. */
export function isTurnOver(): boolean {
  return performance.now() >= deadline;
}

/** Waits for another turn of the event loop. Concurrent waiters get one turn each, in order. */
export function nextTurn(): Promise<void> {
  last = last.then(async () => {
    await setImmediate();
    deadline = performance.now() + SLICE;
  });
  return last;
}

/** Runs `body` for each row of an image, from the top. */
export async function eachRow(rows: number, body: (row: number) => void): Promise<void> {
  for (let row = 0; row < rows; row++) {
    if (isTurnOver()) await nextTurn();
    body(row);
  }
}
