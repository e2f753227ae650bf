// A queue of runs: one at a time, in the order of their calls.

import { untilAborted } from './abort.ts';

/** Runs tasks one after another. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Runs a task when all earlier ones have settled.
   *
   * @param signal removes a waiting task from the queue immediately; the task itself must check it.
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
