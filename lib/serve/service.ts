// What the APIs of a server share: its files, models, jobs and limits.

import { createAbortController, onAbort } from '../async/abort.ts';
import { SerialQueue } from '../async/queue.ts';
import { Catalog, type CatalogKind } from './catalog.ts';
import { type FieldNames, RequestError, toFailure } from './failure.ts';
import {
  find,
  generateImages,
  type ImageRequest,
  type ImagesResult,
  type PreparedRequest,
  prepare,
} from './generation.ts';
import type { Job, JobInProgress } from './job.ts';
import { Jobs, type Sized } from './jobs.ts';
import type { ServeLimits } from './limits.ts';
import { Log } from './log.ts';
import { Metrics } from './metrics.ts';
import { Models, type ServeLoadOptions } from './models.ts';
import type { CheckedHandlerOptions } from './options.ts';

/** A request in the queue. */
export interface QueuedRequest {
  readonly job: Job<ImagesResult>;
  readonly prepared: PreparedRequest;
}

/** Unknown fields of a request that the log names. */
const MOST_LOGGED = 32;

export class Service {
  readonly log: Log;
  readonly catalog: Catalog;
  readonly models: Models;
  readonly jobs: Jobs;
  readonly limits: ServeLimits;
  readonly metrics = new Metrics();
  readonly #preparing = new SerialQueue();
  readonly #never = createAbortController().signal;
  readonly queueSize: number;
  readonly load: ServeLoadOptions;
  readonly outputDirectory: string | undefined;

  constructor(options: CheckedHandlerOptions) {
    const { model, load, keepModels, queueSize, limits, directories, outputDirectory } = options;
    this.log = new Log(options.logger);
    this.catalog = new Catalog(directories);
    this.models = new Models(this.catalog, model, load, keepModels, this.log);
    this.jobs = new Jobs(queueSize, this.log, this.metrics.count);
    this.limits = limits;
    this.queueSize = queueSize;
    this.load = load;
    this.outputDirectory = outputDirectory;
  }

  /**
   * Queues a request for images.
   *
   * @param keeps whether the job can be asked for after its end.
   * @throws RequestError for all that is wrong with it.
   */
  async generate(request: ImageRequest, client: string, keeps: boolean): Promise<QueuedRequest> {
    this.jobs.requirePlace();
    // One at a time: each may decode a large image.
    const prepared = await this.#preparing.run(this.#never, () =>
      named(request.names, () => prepare(request, this.models, this.catalog, this.limits)),
    );
    if (request.unknown.length > 0) {
      this.log.write('debug', 'fields', { unknown: request.unknown.slice(0, MOST_LOGGED).join(', ').slice(0, 1000) });
    }
    const work = (job: JobInProgress) => generateImages(job, prepared, this.models);
    return { job: this.jobs.submit('img_gen', client, keeps, work, request.names), prepared };
  }

  /** The path of a file by its name. @throws RequestError where there is none. */
  async pathOf(kind: CatalogKind, name: string): Promise<string> {
    return (await find(this.catalog, kind, name)).path;
  }

  /** Reads fields. @throws RequestError with the names that an API has for options. */
  inFields<T>(names: FieldNames, read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw renamed(error, names);
    }
  }

  /** Shuts down. @param grace milliseconds that the job in progress has. */
  async close(grace: number): Promise<void> {
    this.log.write('info', 'closing', { waiting: this.jobs.waiting });
    await this.jobs.close(grace);
    await this.models.close();
  }
}

/** Cancels a job when its client goes, or has gone. @returns a function that ends that. */
export function cancelWhenGone(job: Job, client: AbortSignal): () => void {
  return onAbort(client, () => job.cancel(new RequestError('cancelled', 'The client has gone')));
}

/** Waits for the result of a job. A client that goes cancels it. @throws RequestError if there is none. */
export async function resultOf<Result extends Sized>(job: Job<Result>, client: AbortSignal): Promise<Result> {
  const stay = cancelWhenGone(job, client);
  await job.over();
  stay();
  if (job.result !== undefined) return job.result;
  throw asRequestError(job);
}

/** What ended a job without a result. */
export function asRequestError({ failure }: Job): Error {
  const { kind, message, problems } = failure ?? toFailure(undefined);
  const error = new RequestError(kind, message, problems);
  return failure ? Object.assign(error, { failure }) : error;
}

/** @throws RequestError with the names that an API has for options. */
async function named<T>(names: FieldNames, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw renamed(error, names);
  }
}

/** The same error in the names of an API. What is no fault of the request stays as it is. */
function renamed(error: unknown, names: FieldNames): unknown {
  const failure = toFailure(error, names);
  if (failure.kind === 'internal') return error;
  return Object.assign(new RequestError(failure.kind, failure.message, failure.problems), { failure });
}
