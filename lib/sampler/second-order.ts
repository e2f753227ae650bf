// Second-order one-step samplers: two network evaluations per step, one in the last.

import { linear } from '../core/arrays.ts';
import type { Sampler } from './types.ts';
import { derivative, walk } from './walk.ts';

/**
 * Heun's method, the mean of the derivatives at both ends of a step (Karras et al. 2022, arXiv:2206.00364, algorithm
 * 1).
 */
export const heun: Sampler = (denoise, x, sigmas, context) =>
  walk(x, sigmas, context, async (x, sigma, next) => {
    const denoised = await denoise(x, sigma);
    if (next === 0) return { denoised, latent: denoised };
    const d = derivative(x, denoised, sigma);
    const dt = next - sigma;
    const x2 = linear([1, x], [dt, d]);
    const d2 = derivative(x2, await denoise(x2, next), next);
    return { denoised, latent: linear([1, x], [dt / 2, d], [dt / 2, d2]) };
  });

/**
 * Midpoint method, the derivative at the logarithmic middle of a step (k-diffusion's sample_dpm_2, after DPM-Solver-2).
 */
export const dpm2: Sampler = (denoise, x, sigmas, context) =>
  walk(x, sigmas, context, async (x, sigma, next) => {
    const denoised = await denoise(x, sigma);
    if (next === 0) return { denoised, latent: denoised };
    const middle = Math.sqrt(sigma * next);
    const x2 = linear([1, x], [middle - sigma, derivative(x, denoised, sigma)]);
    const d2 = derivative(x2, await denoise(x2, middle), middle);
    return { denoised, latent: linear([1, x], [next - sigma, d2]) };
  });
