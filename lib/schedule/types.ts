// The interface of schedules, and helpers that they share.

import type { SigmaLevels } from '../noise-model/index.ts';

/**
 * Chooses the noise levels at which a sampler calls the network.
 *
 * @param steps number of steps, an integer from 1 to the number of training steps (1000).
 * @param table noise levels of the model, its `noiseModel.levels`.
 * @returns `steps + 1` strictly decreasing sigmas, the last 0. If a schedule rounds to integer timesteps and two steps
 *   coincide, they are merged, so that there are fewer sigmas; its docstring says from how many steps on.
 */
export type Schedule = (steps: number, table: SigmaLevels) => Float64Array;

/**
 * Appends the final 0 and merges equal neighbors, because multistep samplers would divide by the zero length of such a
 * step.
 */
export function endAtZero(sigmas: readonly number[]): Float64Array {
  return Float64Array.of(...sigmas.filter((sigma, i) => sigma !== sigmas[i - 1]), 0);
}

/** `count` values evenly spaced from `start` to `end`, both included; only `start` if `count` is 1. */
export function linspace(start: number, end: number, count: number): number[] {
  const step = count > 1 ? (end - start) / (count - 1) : 0;
  return Array.from({ length: count }, (_, i) => start + i * step);
}
