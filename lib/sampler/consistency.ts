// Samplers for networks distilled to few steps.

import { linear } from '../core/arrays.ts';
import { addNoise, noiseModelOf } from './ancestral.ts';
import type { Sampler } from './types.ts';
import { derivative, walk } from './walk.ts';

/**
 * Multistep consistency sampling: predict, then add fresh noise up to the next level (Luo et al. 2023,
 * arXiv:2310.04378).
 */
export const lcm: Sampler = (denoise, x, sigmas, context) =>
  walk(x, sigmas, context, async (x, sigma, next) => {
    const denoised = await denoise(x, sigma);
    if (next === 0) return { denoised, latent: denoised };
    return { denoised, latent: noiseModelOf(context).addNoise(denoised, context.noise(), next) };
  });

/**
 * Trajectory consistency: steps down to the timestep (1 - eta) t' and from there adds noise up to t', the timestep of
 * the next sigma (Zheng et al. 2024, arXiv:2402.19159, "strategic stochastic sampling"; eta is its gamma). eta: 0. As
 * in diffusers' TCDScheduler and stable-diffusion.cpp the last step ends at the model's first timestep and not at zero
 * noise. Defined only for the table of a diffusion model.
 */
export const tcd: Sampler = (denoise, x, sigmas, context) =>
  walk(x, sigmas, context, async (x, sigma, next) => {
    const eta = context.eta ?? 0;
    const { table } = context;
    const denoised = await denoise(x, sigma);
    const timestepS = Math.floor((1 - eta) * table.nearestTimestep(next));
    const alphaS = table.alphasCumprod[timestepS] as number;
    const alphaNext = 1 / (next * next + 1);
    const d = derivative(x, denoised, sigma);
    if (eta === 0 || next === 0) {
      return {
        denoised,
        latent: linear([Math.sqrt(alphaS / alphaNext), denoised], [Math.sqrt((1 - alphaS) / alphaNext), d]),
      };
    }
    const latentS = linear([1, denoised], [Math.sqrt((1 - alphaS) / alphaS), d]);
    return { denoised, latent: addNoise(latentS, Math.sqrt(Math.max(1 / alphaNext - 1 / alphaS, 0)), context) };
  });
