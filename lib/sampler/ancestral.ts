// Ancestral steps: denoise below the next sigma, then add noise.

import { linear } from '../core/arrays.ts';
import { DiffusionNoise, type NoiseModel } from '../noise-model/index.ts';
import type { Denoiser, SamplerContext } from './types.ts';
import type { StepResult } from './walk.ts';

/** The noise model of a sampler's context; if the caller gives none, a diffusion model with the context's table. */
export function noiseModelOf(context: SamplerContext): NoiseModel {
  return context.noiseModel ?? new DiffusionNoise('epsilon', context.table);
}

/**
 * Adds fresh noise of standard deviation `up`. If that is 0, no random numbers are drawn, so that the numbers of a seed
 * stay in step with other programs.
 */
export function addNoise(latent: Float32Array, up: number, context: SamplerContext): Float32Array {
  return up > 0 ? linear([1, latent], [up, context.noise()]) : latent;
}

/** An Euler step below the level `next`, and fresh noise up to it. */
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
 * The exact step of the ODE for a constant denoised latent, times `scale`. `ratio` of the sigmas, e^(-h), is the
 * remaining share of the noise. It is the same for diffusion and flow models, because both are linear in sigma.
 */
export function exponentialStep(x: Float32Array, denoised: Float32Array, ratio: number, scale = 1): Float32Array {
  return linear([scale * ratio, x], [scale * (1 - ratio), denoised]);
}
