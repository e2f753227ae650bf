// A run: work in progress that can be awaited for its result and iterated for its steps.

import { reportMemory } from '../core/out-of-memory.ts';
import { createAbortController, follow } from './abort.ts';

/**
 * Starts the work of a run. It stops with `signal.reason` when the signal fires, and passes each finished step to
 * `emit`. When `finishing` fires it ends early with what it has.
 */
export type RunWork<Step, Result> = (
  signal: AbortSignal,
  emit: (step: Step) => void,
  finishing: AbortSignal,
) => Promise<Result>;

/**
 * Work that has started. `await run` returns the result; `for await (const step of run)` yields the steps as they
 * finish.
 *
 * - It runs once, from the moment it is created, however it is consumed; you can both await and iterate.
 * - An iteration yields the steps that finish after it began, ends when the run is done, and throws what the run
 *   throws. The run does not wait for a slow consumer: its steps are kept until they are consumed.
 * - Leaving an iteration early (`break`, `return`, an error in the loop) cancels the run.
 * - A failure reaches everyone who awaits or iterates. If nobody does either, a failed run is an unhandled rejection,
 *   like any promise.
 */
export class Run<Step, Result> implements Promise<Result>, AsyncIterable<Step> {
  readonly [Symbol.toStringTag] = 'Run';
  readonly #controller = createAbortController();
  readonly #finishing = createAbortController();
  readonly #iterations = new Set<StepBuffer<Step>>();
  readonly #result: Promise<Result>;

  /** @internal `work` is called immediately; each of `signals` cancels it. */
  constructor(signals: readonly (AbortSignal | undefined)[], work: RunWork<Step, Result>) {
    this.#result = this.#start(signals, work);
  }

  // biome-ignore lint/suspicious/noThenProperty: being awaitable is what a run is for.
  then<A = Result, B = never>(
    onFulfilled?: ((result: Result) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result.then(onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<Result | B> {
    return this.#result.catch(onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<Result> {
    return this.#result.finally(onFinally);
  }

  /**
   * Ends the run early with the image so far: the run resolves as usual, with what its last finished step takes the
   * image to be. The step in progress is given up, except the first, without which there is no image: it is waited
   * for, after any earlier runs. No effect after the last step.
   */
  finish(): void {
    this.#finishing.abort();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Step, void, undefined> {
    const buffer = new StepBuffer<Step>();
    const end = () => buffer.end();
    this.#result.then(end, end);
    this.#iterations.add(buffer);
    try {
      yield* buffer;
      await this.#result;
    } finally {
      this.#iterations.delete(buffer);
      // No effect on a run that is done.
      this.#controller.abort(new DOMException('The iteration over the run was left early', 'AbortError'));
    }
  }

  async #start(signals: readonly (AbortSignal | undefined)[], work: RunWork<Step, Result>): Promise<Result> {
    const unfollow = follow(this.#controller, signals);
    try {
      const emit = (step: Step) => {
        for (const buffer of this.#iterations) buffer.push(step);
      };
      const working = work(this.#controller.signal, emit, this.#finishing.signal);
      return await reportMemory(working);
    } finally {
      unfollow();
    }
  }
}

/** Steps waiting for one consumer. */
class StepBuffer<Step> implements AsyncIterable<Step> {
  readonly #steps: Step[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  push(step: Step): void {
    this.#steps.push(step);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Step, void, undefined> {
    for (;;) {
      const step = this.#steps.shift();
      if (step !== undefined) yield step;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
