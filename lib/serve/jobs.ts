// The jobs of a server: those that wait, the one that runs, and those that are over but may still be asked for.

import { type FieldNames, RequestError } from './failure.ts';
import { FairQueue } from './fair-queue.ts';
import { Job, type JobWork } from './job.ts';
import type { Log } from './log.ts';

/** Milliseconds that a job can be asked for after its end. */
const KEPT_FOR = 600_000;
/** Bytes of results that are kept; the oldest are given up. */
const KEPT_BYTES = 2 ** 28;
/** Number of jobs that are kept. */
const KEPT_JOBS = 1000;
/** Jobs whose end is remembered, to tell those that are gone from those that never were. */
const REMEMBERED = 10_000;

/** A result of known size. */
export interface Sized {
  readonly bytes: number;
}

/** Called with each job that has ended, and with what it was. */
export type JobObserver = (job: Job<Sized>) => void;

export class Jobs {
  readonly #queueSize: number;
  readonly #log: Log;
  readonly #onEnd: JobObserver;
  readonly #queue = new FairQueue<Job<Sized>>();
  /** Those that can be asked for, by their ids, the oldest first. */
  readonly #kept = new Map<string, Job<Sized>>();
  readonly #gone = new Set<string>();
  #bytes = 0;
  #running: Job<Sized> | undefined;
  #isClosing = false;
  #idle: (() => void) | undefined;

  constructor(queueSize: number, log: Log, onEnd: JobObserver) {
    this.#queueSize = queueSize;
    this.#log = log;
    this.#onEnd = onEnd;
  }

  get running(): Job<Sized> | undefined {
    return this.#running;
  }

  /** Number of waiting jobs. */
  get waiting(): number {
    return this.#queue.size;
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** The job that runs and those that wait, in the order of their turns. */
  inOrder(): Job<Sized>[] {
    return [...(this.#running ? [this.#running] : []), ...this.#queue.inOrder()];
  }

  /** Those of one client, in the order of their turns. */
  of(client: string): Job<Sized>[] {
    return this.inOrder().filter((job) => job.client === client);
  }

  /** Number of jobs before a waiting one. */
  position(job: Job<Sized>): number {
    return Math.max(this.inOrder().indexOf(job), 0);
  }

  /** @throws RequestError where the queue has no place. */
  requirePlace(): void {
    if (this.#isClosing) throw new RequestError('unavailable', 'The server is shutting down');
    if (this.#queue.size < this.#queueSize) return;
    throw new RequestError('full', `The queue is full: ${this.#queueSize} jobs are waiting. Try again later`);
  }

  /**
   * Adds a job.
   *
   * @param keeps whether it can be asked for after its end.
   * @param names that its failure has for options.
   * @throws RequestError where the queue has no place.
   */
  submit<Result extends Sized>(
    kind: string,
    client: string,
    keeps: boolean,
    work: JobWork<Result>,
    names: FieldNames = {},
  ): Job<Result> {
    this.requirePlace();
    const job = new Job<Result>(kind, client, work, names);
    this.#queue.push(client, job);
    if (keeps) this.#kept.set(job.id, job);
    const end = job.watch(() => {
      if (!job.isOver) return;
      end();
      this.#ended(job);
    });
    this.#next();
    return job;
  }

  /**
   * A job that was submitted to be asked for.
   *
   * @throws RequestError where there is none, or none any more.
   */
  get(id: string): Job<Sized> {
    this.#forgetOld();
    const job = this.#kept.get(id);
    if (job) return job;
    if (this.#gone.has(id)) throw new RequestError('gone', 'The job has expired');
    throw new RequestError('not-found', 'There is no such job');
  }

  /**
   * Takes no more jobs, ends those that wait, and resolves when the one that runs is over.
   *
   * @param grace milliseconds after which that is cancelled.
   */
  async close(grace: number): Promise<void> {
    this.#isClosing = true;
    const reason = () => new RequestError('unavailable', 'The server is shutting down');
    for (const job of this.#queue.inOrder()) job.cancel(reason());
    if (!this.#running) return;
    const timer = setTimeout(() => this.#running?.cancel(reason()), grace);
    await new Promise<void>((resolve) => (this.#idle = resolve));
    clearTimeout(timer);
  }

  /** Starts the next job, if none runs. */
  #next(): void {
    if (this.#running) return;
    const job = this.#queue.next();
    this.#running = job;
    if (!job) {
      this.#idle?.();
      return;
    }
    for (const other of this.#queue.inOrder()) other.touch();
    void job.start().then(() => {
      this.#running = undefined;
      this.#next();
    });
  }

  #ended(job: Job<Sized>): void {
    if (this.#queue.remove(job)) for (const other of this.#queue.inOrder()) other.touch();
    const { id, kind, state, created, started, ended = 0, failure, error } = job;
    const times = started === undefined ? {} : { waited: started - created, took: ended - started };
    const why = failure ? { code: failure.code } : {};
    const stack = error === undefined ? {} : { error: error instanceof Error ? String(error.stack) : String(error) };
    this.#log.write(failure?.kind === 'internal' ? 'error' : 'info', 'job', {
      ...{ id, kind, state, ...times, ...why, ...stack },
    });
    this.#onEnd(job);
    if (!this.#kept.delete(id)) return;
    // The order of the map is that of the ends.
    this.#kept.set(id, job);
    this.#bytes += job.result?.bytes ?? 0;
    this.#forgetOld();
  }

  /** Forgets jobs that ended long ago, and the oldest where they are too many or too large. */
  #forgetOld(): void {
    for (const old of [...this.#kept.values()]) {
      const expired = Date.now() - (old.ended ?? Number.POSITIVE_INFINITY) > KEPT_FOR;
      const tooMany = this.#kept.size > KEPT_JOBS || this.#bytes > KEPT_BYTES;
      if (old.isOver && (expired || tooMany)) this.#forget(old);
    }
  }

  #forget(job: Job<Sized>): void {
    if (!this.#kept.delete(job.id)) return;
    this.#bytes -= job.result?.bytes ?? 0;
    this.#gone.add(job.id);
    if (this.#gone.size > REMEMBERED) this.#gone.delete([...this.#gone.values()][0] as string);
  }
}
