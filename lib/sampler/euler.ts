// First-order samplers: Euler's method, deterministic and ancestral.

import { ancestralEulerStep } from './ancestral.ts';
import type { Sampler } from './types.ts';
import { walk } from './walk.ts';

/**
 * Euler steps of the probability flow ODE (Karras et al. 2022, arXiv:2206.00364, algorithm 1 without the correction).
 */
export const euler: Sampler = (denoise, x, sigmas, context) =>
  walk(x, sigmas, context, (x, sigma, next) => ancestralEulerStep(denoise, x, sigma, next, 0, context));

/**
 * Ancestral sampling with Euler steps (k-diffusion's sample_euler_ancestral; ComfyUI's variant for flow models). eta:
 * 1.
 */
export const eulerAncestral: Sampler = (denoise, x, sigmas, context) =>
  walk(x, sigmas, context, (x, sigma, next) => ancestralEulerStep(denoise, x, sigma, next, context.eta ?? 1, context));

/**
 * DDIM (Song et al. 2020, arXiv:2010.02502, eq. 12 and 16), which in terms of sigma is an ancestral Euler step. eta: 0.
 * The "trailing" timesteps are its default schedule, `simple`.
 */
export const ddimTrailing: Sampler = (denoise, x, sigmas, context) =>
  walk(x, sigmas, context, (x, sigma, next) => ancestralEulerStep(denoise, x, sigma, next, context.eta ?? 0, context));
