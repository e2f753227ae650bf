// Schedules that choose timesteps of the model and look up their sigmas.

import type { SigmaLevels } from '../noise-model/index.ts';
import { endAtZero, linspace, type Schedule } from './types.ts';

/** Timesteps evenly spaced from the last to the first, both included (k-diffusion's DiscreteSchedule.get_sigmas). */
export const discrete: Schedule = (steps, table) =>
  atTimesteps(table, linspace(table.maxTimestep, table.minTimestep, steps));

/**
 * Timesteps evenly spaced from the last towards 0, where the final sigma is 0 (Stability's generative-models). For a
 * flow model these are the shifted `1 - i / steps` of diffusers' flow pipelines.
 */
export const sgmUniform: Schedule = (steps, table) =>
  atTimesteps(table, linspace(table.maxTimestep, 0, steps + 1).slice(0, -1));

/**
 * Every (1000 / steps)-th entry of the table, counted from the end and rounded down ("trailing" spacing of DDIM). The
 * spacing is a float32 as in stable-diffusion.cpp; ComfyUI uses float64 and sometimes gets a timestep that differs by 1
 * (first with 30 steps).
 */
export const simple: Schedule = (steps, table) => {
  const spacing = Math.fround(table.sigmas.length / steps);
  return atTimesteps(
    table,
    Array.from({ length: steps }, (_, i) =>
      Math.max(table.maxTimestep - Math.trunc(Math.fround(i * spacing)), table.minTimestep),
    ),
  );
};

/**
 * Timesteps rounded from the curve 3u^2 - 2u^3, denser at both ends, as in stable-diffusion.cpp. From 78 steps on some
 * timesteps coincide there; here they become one step.
 */
export const smoothstep: Schedule = (steps, table) =>
  atTimesteps(
    table,
    Array.from({ length: steps }, (_, i) => {
      const u = 1 - i / steps;
      return Math.max(Math.round(u * u * (3 - 2 * u) * table.maxTimestep), table.minTimestep);
    }),
  );

/**
 * Timesteps rounded from the quantiles of a Beta(0.6, 0.6) distribution, denser at both ends (Lee et al. 2024, "Beta
 * Sampling is All You Need", arXiv:2407.12173), as in ComfyUI and stable-diffusion.cpp. Like there, timesteps that
 * coincide (from 139 steps on) become one step.
 */
export const beta: Schedule = (steps, table) =>
  atTimesteps(
    table,
    Array.from(
      { length: steps },
      (_, i) => table.minTimestep + roundedBetaQuantile(1 - i / steps, table.sigmas.length - 1),
    ),
  );

/**
 * The timesteps that latent consistency models were distilled on: 50 evenly spaced ones, of which `steps` are kept (Luo
 * et al. 2023, arXiv:2310.04378), as in diffusers' LCMScheduler and stable-diffusion.cpp. Gives at most 50 steps.
 */
export const lcm: Schedule = (steps, table) => {
  const distilledSteps = 50;
  const spacing = Math.floor(table.sigmas.length / distilledSteps);
  return atTimesteps(
    table,
    Array.from(
      { length: steps },
      (_, i) => (distilledSteps - Math.floor((i * distilledSteps) / steps)) * spacing - 1 + table.minTimestep,
    ),
  );
};

function atTimesteps(table: SigmaLevels, timesteps: readonly number[]): Float64Array {
  return endAtZero(timesteps.map((t) => table.sigmaAt(t)));
}

/**
 * `round(max * quantile(u))` of Beta(0.6, 0.6): the first integer t whose upper rounding bound has a probability above
 * u.
 */
function roundedBetaQuantile(u: number, max: number): number {
  let low = 0;
  let high = max;
  while (low < high) {
    const t = (low + high) >>> 1;
    if (betaProbability((t + 0.5) / max) <= u) low = t + 1;
    else high = t;
  }
  return low;
}

/**
 * Cumulative probability of Beta(0.6, 0.6) at x in [0, 1]. It is symmetric, so the half below 1/2 gives both halves and
 * the norm.
 */
function betaProbability(x: number): number {
  if (x > 0.5) return 1 - betaProbability(1 - x);
  return (0.5 * incompleteBeta(x)) / incompleteBeta(0.5);
}

/**
 * Integral of (z (1 - z))^(-0.4) from 0 to x <= 1/2: x^a sum_n (1 - a)_n x^n / (n! (a + n)) with a = 0.6 (DLMF 8.17.7).
 */
function incompleteBeta(x: number): number {
  const a = 0.6;
  let coefficient = 1;
  let sum = 0;
  for (let n = 0; coefficient > 1e-17; n++) {
    sum += coefficient / (a + n);
    coefficient *= ((1 - a + n) / (n + 1)) * x;
  }
  return x ** a * sum;
}
