// The schedules by name.

import { exponential, karras, klOptimal } from './continuous.ts';
import { alignYourSteps, gits } from './optimized.ts';
import { beta, discrete, lcm, sgmUniform, simple, smoothstep } from './timesteps.ts';
import type { Schedule } from './types.ts';

export { customSigmas } from './custom.ts';
export { SigmaTable, stableDiffusionTable } from './discrete.ts';
export type { Schedule } from './types.ts';

/** Every schedule under the name that users give as `scheduler`; the names are those of stable-diffusion.cpp. */
export const SCHEDULERS = {
  discrete,
  karras,
  exponential,
  sgm_uniform: sgmUniform,
  simple,
  ays: alignYourSteps,
  gits,
  kl_optimal: klOptimal,
  smoothstep,
  beta,
  lcm,
} as const satisfies Record<string, Schedule>;

/** Name of a schedule. */
export type SchedulerName = keyof typeof SCHEDULERS;

/** The names in the order in which they are listed to users. */
export const SCHEDULER_NAMES = Object.keys(SCHEDULERS) as readonly SchedulerName[];
