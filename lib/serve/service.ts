// What the APIs of a server share: its files, models, jobs and limits.

import { Catalog } from './catalog.ts';
import { type FieldNames, RequestError, toFailure } from './failure.ts';
import { generateImages, type ImageRequest, type ImagesResult, prepare } from './generation.ts';
import type { Job, JobInProgress } from './job.ts';
import { Jobs, type Sized } from './jobs.ts';
import type { ServeLimits } from './limits.ts';
import { Log } from './log.ts';
import { Models } from './models.ts';
import type { CheckedHandlerOptions } from './options.ts';

/** Unknown fields of a request that the log names. */
const MOST_LOGGED = 32;

export class Service {
  readonly log: Log;
  readonly catalog: Catalog;
  readonly models: Models;
  readonly jobs: Jobs;
  readonly limits: ServeLimits;
  readonly queueSize: number;

  constructor(options: CheckedHandlerOptions) {
    const { model, load, keepModels, queueSize, limits, directories } = options;
    this.log = new Log(options.logger);
    this.catalog = new Catalog(directories);
    this.models = new Models(this.catalog, model, load, keepModels, this.log);
    this.jobs = new Jobs(queueSize, this.log, () => {});
    this.limits = limits;
    this.queueSize = queueSize;
  }

  /**
   * Queues a request for images.
   *
   * @param keeps whether the job can be asked for after its end.
   * @throws RequestError for all that is wrong with it.
   */
  async generate(request: ImageRequest, client: string, keeps: boolean): Promise<Job<ImagesResult>> {
    this.jobs.requirePlace();
    const prepared = await named(request.names, () => prepare(request, this.models, this.catalog, this.limits));
    if (request.unknown.length > 0) {
      this.log.write('debug', 'fields', { unknown: request.unknown.slice(0, MOST_LOGGED).join(', ').slice(0, 1000) });
    }
    const work = (job: JobInProgress) => generateImages(job, prepared, this.models);
    return this.jobs.submit('img_gen', client, keeps, work, request.names);
  }

  /** Shuts down. @param grace milliseconds that the job in progress has. */
  async close(grace: number): Promise<void> {
    this.log.write('info', 'closing', { waiting: this.jobs.waiting });
    await this.jobs.close(grace);
    await this.models.close();
  }
}

/** Waits for the result of a job. A client that goes cancels it. @throws RequestError if there is none. */
export async function resultOf<Result extends Sized>(job: Job<Result>, client: AbortSignal): Promise<Result> {
  const leave = () => job.cancel(new RequestError('cancelled', 'The client has gone'));
  client.addEventListener('abort', leave);
  if (client.aborted) leave();
  await job.over();
  client.removeEventListener('abort', leave);
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
    const failure = toFailure(error, names);
    if (failure.kind === 'internal') throw error;
    throw Object.assign(new RequestError(failure.kind, failure.message, failure.problems), { failure });
  }
}
