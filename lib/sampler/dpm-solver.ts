// DPM-Solver++ (Lu et al. 2022, arXiv:2211.01095) in terms of sigma: lambda = log(alpha / sigma), h the step in lambda.
// The deterministic multistep variants use -log(sigma) for lambda with flow models too, like k-diffusion, ComfyUI and
// stable-diffusion.cpp.

import { linear } from '../core/arrays.ts';
import { addNoise, exponentialStep, noiseModelOf } from './ancestral.ts';
import type { Sampler } from './types.ts';
import { walk } from './walk.ts';

/** The previous step of a two-step method. */
interface LastStep {
  readonly denoised: Float32Array;
  readonly h: number;
}

/**
 * Ancestral sampling with DPM-Solver++(2S) steps, two network evaluations each (k-diffusion's
 * sample_dpmpp_2s_ancestral). eta: 1.
 */
export const dpmpp2sAncestral: Sampler = (denoise, x, sigmas, context) =>
  walk(x, sigmas, context, async (x, sigma, next) => {
    const denoised = await denoise(x, sigma);
    const noise = noiseModelOf(context);
    const { down, scale, up } = noise.ancestralStep(sigma, next, context.eta ?? 1);
    if (down === 0) return { denoised, latent: addNoise(denoised, up, context) };
    const middle = noise.middle(sigma, down);
    const x2 = exponentialStep(x, denoised, middle / sigma);
    const latent = exponentialStep(x, await denoise(x2, middle), down / sigma, scale);
    return { denoised, latent: addNoise(latent, up, context) };
  });

/**
 * DPM-Solver++(2M): extrapolates the denoised latent from the previous step (algorithm 2; k-diffusion's
 * sample_dpmpp_2m).
 */
export const dpmpp2m: Sampler = (denoise, x, sigmas, context) => {
  let last: LastStep | undefined;
  return walk(x, sigmas, context, async (x, sigma, next) => {
    const denoised = await denoise(x, sigma);
    const h = Math.log(sigma / next);
    const target = last && next > 0 ? extrapolate(denoised, last.denoised, last.h / h) : denoised;
    last = { denoised, h };
    return { denoised, latent: exponentialStep(x, target, next / sigma) };
  });
};

/**
 * DPM-Solver++(2M) with the average length of two steps, as in stable-diffusion.cpp, after discussion 8457 of A1111's
 * stable-diffusion-webui. It has no paper, and is not exact even for a constant denoised latent.
 */
export const dpmpp2mV2: Sampler = (denoise, x, sigmas, context) => {
  let last: LastStep | undefined;
  return walk(x, sigmas, context, async (x, sigma, next) => {
    const denoised = await denoise(x, sigma);
    const h = Math.log(sigma / next);
    const before = last;
    last = { denoised, h };
    if (!before || next === 0) return { denoised, latent: exponentialStep(x, denoised, next / sigma) };
    const target = extrapolate(denoised, before.denoised, Math.max(h, before.h) / Math.min(h, before.h));
    const meanH = (h + before.h) / 2;
    return { denoised, latent: linear([next / sigma, x], [-Math.expm1(-meanH), target]) };
  });
};

/**
 * SDE-DPM-Solver++(2M), midpoint variant (k-diffusion's sample_dpmpp_2m_sde), with plain noise in place of a Brownian
 * tree, as in stable-diffusion.cpp. eta: 1.
 */
export const dpmpp2mSde: Sampler = (denoise, x, sigmas, context) => {
  const eta = context.eta ?? 1;
  const noise = noiseModelOf(context);
  let last: LastStep | undefined;
  return walk(x, noise.withFiniteSnr(sigmas), context, async (x, sigma, next) => {
    const denoised = await denoise(x, sigma);
    if (next === 0) return { denoised, latent: denoised };
    const h = noise.logSnrStep(sigma, next);
    const a = (next / sigma) * Math.exp(-eta * h);
    const b = noise.alpha(next) * -Math.expm1(-h - eta * h);
    const c = last ? (0.5 * b * h) / last.h : 0;
    const latent = linear([a, x], [b + c, denoised], [-c, last?.denoised ?? denoised]);
    last = { denoised, h };
    return { denoised, latent: addNoise(latent, next * Math.sqrt(-Math.expm1(-2 * eta * h)), context) };
  });
};

/**
 * Extrapolates the denoised latent to the middle of a step: (1 + 1/2r) denoised - 1/2r last, with the ratio r of the
 * step lengths.
 */
function extrapolate(denoised: Float32Array, last: Float32Array, r: number): Float32Array {
  const weight = 1 / (2 * r);
  return linear([1 + weight, denoised], [-weight, last]);
}
