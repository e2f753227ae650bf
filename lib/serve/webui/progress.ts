// How far a client's requests are, as the web UI says it.

import type { Job } from '../job.ts';
import { timestamp } from './reply.ts';

/** The least progress of a job: 0 means that nothing is going on. */
const BEGUN = 0.01;

/** The fields of `progress`. @param jobs of the client, in the order of their turns. */
export async function progressOf(
  jobs: readonly Job[],
  taskId: (job: Job) => string,
  skipsImage: boolean,
): Promise<object> {
  const [job] = jobs;
  if (!job) return { progress: 0, eta_relative: 0, state: stateOf(undefined, ''), current_image: null, textinfo: null };
  const { progress } = job;
  const image = skipsImage ? undefined : await progress?.preview?.png();
  return {
    progress: shareOf(job),
    eta_relative: progress?.eta ?? 0,
    state: stateOf(job, taskId(job)),
    current_image: image?.toString('base64') ?? null,
    textinfo: textOf(job),
  };
}

/** The share of a job that is done. */
export function shareOf({ progress }: Job): number {
  if (!progress) return BEGUN;
  const { run, runs, step, steps } = progress;
  return Math.max(BEGUN, (run + step / steps) / runs);
}

export function textOf({ state, progress }: Job): string | null {
  if (state === 'queued') return 'Waiting';
  return progress ? null : 'Loading';
}

function stateOf(job: Job | undefined, name: string): object {
  const { run = 0, runs = 1, step = 0, steps = 0 } = job?.progress ?? {};
  return {
    ...{ skipped: job?.isSkipping ?? false, interrupted: job?.isFinishing ?? false, stopping_generation: false },
    ...{ job: name, job_count: job ? runs : 0, job_no: job ? run : 0 },
    job_timestamp: job ? timestamp(new Date(job.created)) : '0',
    ...{ sampling_step: step, sampling_steps: steps },
  };
}
