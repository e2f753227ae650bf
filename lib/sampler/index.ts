// The samplers by name.

import type { SchedulerName } from '../schedule/index.ts';
import { lcm, tcd } from './consistency.ts';
import { dpmpp2m, dpmpp2mSde, dpmpp2mV2, dpmpp2sAncestral } from './dpm-solver.ts';
import { ddimTrailing, euler, eulerAncestral } from './euler.ts';
import { ipndm, ipndmV, lms } from './multistep.ts';
import { dpm2, heun } from './second-order.ts';
import type { Sampler } from './types.ts';

export type { Denoiser, Sampler, SamplerContext, SamplerStep } from './types.ts';

/** A sampler and its default schedule. */
export interface SamplerEntry {
  readonly sampler: Sampler;
  /** If this is `discrete`, the model's default schedule is used instead, if it has one. */
  readonly defaultScheduler: SchedulerName;
  /** Network evaluations per step, except in the last. Default 1. */
  readonly evaluationsPerStep?: number;
}

/**
 * Every sampler under the name that users give as `sampler`; names and default schedules are those of
 * stable-diffusion.cpp.
 */
export const SAMPLERS = {
  euler: { sampler: euler, defaultScheduler: 'discrete' },
  euler_a: { sampler: eulerAncestral, defaultScheduler: 'discrete' },
  heun: { sampler: heun, defaultScheduler: 'discrete', evaluationsPerStep: 2 },
  dpm2: { sampler: dpm2, defaultScheduler: 'discrete', evaluationsPerStep: 2 },
  'dpm++2s_a': { sampler: dpmpp2sAncestral, defaultScheduler: 'discrete', evaluationsPerStep: 2 },
  'dpm++2m': { sampler: dpmpp2m, defaultScheduler: 'discrete' },
  'dpm++2mv2': { sampler: dpmpp2mV2, defaultScheduler: 'discrete' },
  'dpm++2m_sde': { sampler: dpmpp2mSde, defaultScheduler: 'discrete' },
  lms: { sampler: lms, defaultScheduler: 'discrete' },
  ipndm: { sampler: ipndm, defaultScheduler: 'discrete' },
  ipndm_v: { sampler: ipndmV, defaultScheduler: 'discrete' },
  ddim_trailing: { sampler: ddimTrailing, defaultScheduler: 'simple' },
  lcm: { sampler: lcm, defaultScheduler: 'lcm' },
  tcd: { sampler: tcd, defaultScheduler: 'lcm' },
} as const satisfies Record<string, SamplerEntry>;

/** Name of a sampler. */
export type SamplerName = keyof typeof SAMPLERS;

/** The names, in the order in which users see them. */
export const SAMPLER_NAMES = Object.keys(SAMPLERS) as readonly SamplerName[];
