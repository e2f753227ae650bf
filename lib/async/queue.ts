// A queue of whole runs: one at a time, in the order of their calls.

import { untilAborted } from './abort.ts';

/** Runs tasks one after another. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Runs a task when all earlier ones have ended, well or not.
   *
   * @param signal takes a waiting task out of the queue at once; the task itself must look at it on its own.
   * @throws `signal.reason` if the signal fires before the task starts; otherwise what the task throws.
   */
  async run<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    const earlier = this.#last;
    let leave = () => {};
    const left = new Promise<void>((resolve) => (leave = resolve));
    this.#last = earlier.then(() => left);
    try {
      await untilAborted(earlier, signal);
      return await task();
    } finally {
      leave();
    }
  }
}
