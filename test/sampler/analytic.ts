// A denoiser with a closed form and a wave for recorded noise, the same in the reference scripts.

import { stableDiffusionTable } from '../../lib/noise-model/index.ts';
import type { Denoiser, SamplerContext } from '../../lib/sampler/index.ts';

/** Exact denoiser of data that is a mixture of N(-1, 1/4) and N(1, 1/4). */
export const mixtureMean: Denoiser = async (x, sigma) =>
  x.map((value) => {
    const variance = 0.25 + sigma * sigma;
    return (0.25 * value + sigma * sigma * Math.tanh(value / variance)) / variance;
  });

/** Element of the wave that stands for noise. */
export function recorded(element: number): number {
  return Math.fround(1.5 * Math.sin(1 + 7 * element));
}

/** Latent of `length` elements at noise level `sigma`. */
export function start(length: number, sigma: number): Float32Array {
  return Float32Array.from({ length }, (_, j) => sigma * recorded(1000 + j));
}

/** A context whose draw k has the elements of the wave from k * length, and that counts the draws. */
export function recordedContext(length: number, eta?: number): SamplerContext & { draws: number } {
  return {
    draws: 0,
    table: stableDiffusionTable(),
    ...(eta === undefined ? {} : { eta }),
    noise() {
      const first = this.draws++ * length;
      return Float32Array.from({ length }, (_, j) => recorded(first + j));
    },
  };
}
