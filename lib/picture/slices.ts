// Work on the pixels of a picture in slices, between which the event loop has its turn.

import { setImmediate } from 'node:timers/promises';

/** Operations between two turns of the event loop: a millisecond or two. */
const OPERATIONS_PER_TURN = 1 << 20;

/**
 * Runs `body` for each row of a picture, from the first.
 *
 * @param operationsPerRow about how many simple operations `body` does.
 */
export async function eachRow(rows: number, operationsPerRow: number, body: (row: number) => void): Promise<void> {
  let operations = 0;
  for (let row = 0; row < rows; row++) {
    body(row);
    operations += operationsPerRow;
    if (operations < OPERATIONS_PER_TURN) continue;
    operations = 0;
    await setImmediate();
  }
}
