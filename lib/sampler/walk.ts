// The loop over the sigmas that all samplers share, and the derivative of the ODE.

import { linear } from '../core/arrays.ts';
import type { SamplerContext } from './types.ts';

/** The result of a step: the latent at the next sigma, and the denoised latent predicted at the start. */
export interface StepResult {
  readonly latent: Float32Array;
  readonly denoised: Float32Array;
}

/** One step from `sigma` down to `next` (0 in the last). `index` counts from 0. */
export type Step = (x: Float32Array, sigma: number, next: number, index: number) => Promise<StepResult>;

/** Runs `step` from each sigma to the next one and reports it to the context. Returns the last latent. */
export async function walk(
  x: Float32Array,
  sigmas: Float64Array,
  context: SamplerContext,
  step: Step,
): Promise<Float32Array> {
  const total = sigmas.length - 1;
  let latent = x;
  for (let index = 0; index < total; index++) {
    const sigma = sigmas[index] as number;
    const result = await step(latent, sigma, sigmas[index + 1] as number, index);
    latent = result.latent;
    await context.onStep?.({ index, total, sigma, latent, denoised: result.denoised });
  }
  return latent;
}

/**
 * dx/dsigma of the probability flow ODE at a noise level (Karras et al. 2022, algorithm 1, line 4): the
 * predicted noise in x.
 */
export function derivative(x: Float32Array, denoised: Float32Array, sigma: number): Float32Array {
  return linear([1 / sigma, x], [-1 / sigma, denoised]);
}
