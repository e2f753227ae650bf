// Warnings: they go to a model's logger and into the result of the run that caused them.

import { AsyncLocalStorage } from 'node:async_hooks';
import type { Logger } from './logger.ts';

type Tell = (message: string) => void;

const listeners = new AsyncLocalStorage<Tell>();

/**
 * Warns from anywhere within the current work: in a run, to its result and the model's logger. A repeated message
 * counts once per run.
 */
export function warn(message: string): void {
  listeners.getStore()?.(message);
}

/** Runs work whose warnings go to `tell`, including those of everything it calls and awaits. */
export function withWarnings<T>(tell: Tell, work: () => T): T {
  return listeners.run(tell, work);
}

/** The warnings of one model. It is the logger of the model's engine, and passes everything on to the user's logger. */
export class Warnings implements Logger {
  readonly #logger: Logger | undefined;
  /** Belongs to the run whose turn it is: the engine works for no other. */
  #turn: Tell | undefined;

  constructor(logger: Logger | undefined) {
    this.#logger = logger;
  }

  debug(message: string): void {
    this.#logger?.debug?.(message);
  }

  info(message: string): void {
    this.#logger?.info?.(message);
  }

  warn(message: string): void {
    if (this.#turn) this.#turn(message);
    else this.tell(message);
  }

  error(message: string): void {
    this.#logger?.error?.(message);
  }

  /** Warns only the user's logger. */
  readonly tell = (message: string): void => this.#logger?.warn?.(message);

  /**
   * Executes a run, and adds its warnings to the result.
   *
   * @param work the run; it may only use the engine within the task that it passes to `inTurn`, once its turn has come.
   */
  async gather<T extends object>(
    work: (inTurn: <R>(task: () => Promise<R>) => Promise<R>) => Promise<T>,
  ): Promise<T & { readonly warnings: readonly string[] }> {
    const reported = new Set<string>();
    const tell = (message: string) => {
      if (reported.has(message)) return;
      reported.add(message);
      this.tell(message);
    };
    const inTurn = async <R>(task: () => Promise<R>) => {
      this.#turn = tell;
      try {
        return await task();
      } finally {
        this.#turn = undefined;
      }
    };
    const result = await withWarnings(tell, () => work(inTurn));
    return { ...result, warnings: [...reported] };
  }
}
