// Ancestral steps: go down further than the next sigma, then put noise back.

import { linear } from '../core/arrays.ts';
import { DiffusionNoise, type NoiseModel } from '../noise-model/index.ts';
import type { Denoiser, SamplerContext } from './types.ts';
import type { StepResult } from './walk.ts';

/** The noise that a sampler's network was trained with: where a caller names none, that of the table. */
export function noiseModelOf(context: SamplerContext): NoiseModel {
  return context.noiseModel ?? new DiffusionNoise('epsilon', context.table);
}

/**
 * The latent with fresh noise of standard deviation `up`. Draws only where there is noise to add, as the seed's
 * images ask.
 */
export function addNoise(latent: Float32Array, up: number, context: SamplerContext): Float32Array {
  return up > 0 ? linear([1, latent], [up, context.noise()]) : latent;
}

/** An Euler step to a lower level than `next`, and fresh noise up to it. */
export async function ancestralEulerStep(
  denoise: Denoiser,
  x: Float32Array,
  sigma: number,
  next: number,
  eta: number,
  context: SamplerContext,
): Promise<StepResult> {
  const denoised = await denoise(x, sigma);
  const { down, scale, up } = noiseModelOf(context).ancestralStep(sigma, next, eta);
  return { denoised, latent: addNoise(exponentialStep(x, denoised, down / sigma, scale), up, context) };
}

/**
 * Exact step of the ODE for a denoised latent that stands still, times `scale`: `ratio` of the sigmas, e^(-h), is what remains of the
 * noise. It is the same for diffusion and for flow models, because both are linear in sigma.
 */
export function exponentialStep(x: Float32Array, denoised: Float32Array, ratio: number, scale = 1): Float32Array {
  return linear([scale * ratio, x], [scale * (1 - ratio), denoised]);
}
