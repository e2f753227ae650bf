// A job: work that waits for its turn, reports how far it is, and can be cancelled or told to finish early.

import { randomBytes } from 'node:crypto';
import { createAbortController } from '../async/abort.ts';
import type { RgbImage } from '../image/rgb-image.ts';
import { type Failure, type FieldNames, RequestError, toFailure } from './failure.ts';

export type JobState = 'queued' | 'generating' | 'completed' | 'failed' | 'cancelled';

/** How far a job is. */
export interface JobProgress {
  /** Finished steps of the current run, of how many. */
  readonly step: number;
  readonly steps: number;
  /** Finished runs, of how many. */
  readonly run: number;
  readonly runs: number;
  /** Seconds that the rest will take, if it goes on as before. */
  readonly eta: number;
  /** Milliseconds that the last step took. */
  readonly time: number;
  /** What the image looks like. */
  readonly preview: RgbImage | undefined;
}

/** A run, as far as a job steers it. */
interface Finishable {
  finish(): void;
}

/** What a job does. @throws what {@link toFailure} understands. */
export type JobWork<Result> = (job: JobInProgress) => Promise<Result>;

/** What a job is to its own work. */
export interface JobInProgress {
  /** Fires when the job is cancelled. */
  readonly signal: AbortSignal;
  /** Whether no further run is to begin. */
  readonly isFinishing: boolean;
  report(progress: JobProgress): void;
  /** Passes a run on, which `finish` and `skip` end; undefined when it is over. */
  follow(run: Finishable | undefined): void;
}

/** What a job tells those who watch it: that something changed. */
type Listener = () => void;

export class Job<Result = unknown> implements JobInProgress {
  /** Cannot be guessed: knowing it is what lets a client without a key ask for the job. */
  readonly id: string = `job_${randomBytes(16).toString('hex')}`;
  readonly kind: string;
  readonly client: string;
  /** Milliseconds since 1970. */
  readonly created: number = Date.now();
  started: number | undefined;
  ended: number | undefined;
  state: JobState = 'queued';
  progress: JobProgress | undefined;
  result: Result | undefined;
  failure: Failure | undefined;
  /** What ended the job, if that was no fault of the request. */
  error: unknown;
  isFinishing = false;
  /** Whether the current run was told to end, and no other. */
  isSkipping = false;
  readonly #work: JobWork<Result>;
  readonly #names: FieldNames;
  readonly #controller = createAbortController();
  readonly #listeners = new Set<Listener>();
  #run: Finishable | undefined;

  /** @param names that failures have for options. */
  constructor(kind: string, client: string, work: JobWork<Result>, names: FieldNames = {}) {
    this.kind = kind;
    this.client = client;
    this.#work = work;
    this.#names = names;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isOver(): boolean {
    return this.ended !== undefined;
  }

  /** Does the work. Never rejects. */
  async start(): Promise<void> {
    if (this.isOver) return;
    this.started = Date.now();
    this.state = 'generating';
    this.#tell();
    try {
      const result = await this.#work(this);
      this.#end('completed', { result });
    } catch (error) {
      const cancelled = this.signal.aborted ? this.signal.reason : error;
      const failure = toFailure(cancelled, this.#names);
      // What is no fault of a request is for whoever runs the server.
      if (!this.signal.aborted && failure.kind === 'internal') this.error = error;
      this.#end(failure.kind === 'cancelled' ? 'cancelled' : 'failed', { failure });
    }
  }

  report(progress: JobProgress): void {
    this.progress = progress;
    this.#tell();
  }

  follow(run: Finishable | undefined): void {
    this.#run = run;
    this.isSkipping = false;
    if (this.isFinishing) run?.finish();
  }

  /** Ends the job early with what it has so far. */
  finish(): void {
    this.isFinishing = true;
    this.#run?.finish();
  }

  /** Ends the current run early, and goes on with the next. */
  skip(): void {
    this.isSkipping = true;
    this.#run?.finish();
  }

  /** Ends the job without a result. No effect on one that is over. */
  cancel(reason: RequestError = new RequestError('cancelled', 'The job was cancelled')): void {
    if (this.isOver) return;
    this.#controller.abort(reason);
    const { failure } = reason;
    if (this.state === 'queued') this.#end(failure.kind === 'cancelled' ? 'cancelled' : 'failed', { failure });
  }

  /** Calls `listener` whenever something changes. @returns a function that ends that. */
  watch(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells those who watch the job to look again: its place in the queue is another. */
  touch(): void {
    this.#tell();
  }

  /** Resolves once the job is over. */
  over(): Promise<void> {
    return new Promise((resolve) => {
      if (this.isOver) return resolve();
      const end = this.watch(() => {
        if (!this.isOver) return;
        end();
        resolve();
      });
    });
  }

  #end(state: JobState, outcome: { readonly result?: Result; readonly failure?: Failure }): void {
    this.state = state;
    this.ended = Date.now();
    this.result = outcome.result;
    this.failure = outcome.failure;
    this.#run = undefined;
    this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
