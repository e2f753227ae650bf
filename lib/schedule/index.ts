// The schedules by name.

import { checked } from './checked.ts';
import { exponential, karras, klOptimal } from './continuous.ts';
import { alignYourSteps, gits } from './optimized.ts';
import { beta, discrete, lcm, sgmUniform, simple, smoothstep } from './timesteps.ts';
import type { Schedule } from './types.ts';

export { customSigmas } from './custom.ts';
export type { Schedule } from './types.ts';

/**
 * Every schedule under the name that users give as `scheduler`; the names are those of stable-diffusion.cpp.
 * `SCHEDULERS.karras(20, model.noiseModel.levels)` returns the noise levels that a run of the model uses.
 */
export const SCHEDULERS = {
  discrete: checked(discrete),
  karras: checked(karras),
  exponential: checked(exponential),
  sgm_uniform: checked(sgmUniform),
  simple: checked(simple),
  ays: checked(alignYourSteps),
  gits: checked(gits),
  kl_optimal: checked(klOptimal),
  smoothstep: checked(smoothstep),
  beta: checked(beta),
  lcm: checked(lcm),
} as const satisfies Record<string, Schedule>;

/** Name of a schedule. */
export type SchedulerName = keyof typeof SCHEDULERS;

/** The schedules for timestep spacings of diffusers' schedulers; other spacings use the default. */
const SPACINGS: Readonly<Record<string, SchedulerName>> = {
  trailing: 'simple',
  karras: 'karras',
  exponential: 'exponential',
  beta: 'beta',
};

/**
 * The default schedule of a model.
 *
 * @param spacing the timestep spacing in its scheduler's configuration. `leading`, diffusers' default, is ignored: it
 *   leaves out the last training steps, where sampling should start (Lin et al. 2023, arXiv:2305.08891, section 3.3).
 */
export function schedulerFor(spacing: string | undefined): SchedulerName {
  return SPACINGS[spacing ?? ''] ?? 'discrete';
}

/** The names, in the order in which users see them. */
export const SCHEDULER_NAMES = Object.keys(SCHEDULERS) as readonly SchedulerName[];
