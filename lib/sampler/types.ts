// The interface of samplers: functions that take a noisy latent down a list of sigmas with a denoiser.

import type { NoiseModel, SigmaTable } from '../noise-model/index.ts';

/**
 * D(x; sigma), the denoised latent that the network predicts from a noisy one (Karras et al. 2022, arXiv:2206.00364,
 * eq. 2).
 *
 * @param x latent with noise of standard deviation `sigma` added to it, `[batch, channels, height, width]`, flat. Never
 *   written to.
 * @param sigma noise level, above 0. Any value between the model's extremes is allowed, not only those of the schedule.
 * @returns a new array of the same length. Rejects if the call was aborted; a sampler must pass the error on.
 */
export type Denoiser = (x: Float32Array, sigma: number) => Promise<Float32Array>;

/** A finished step of a sampler. The arrays belong to the sampler: read or copy them, do not change them. */
export interface SamplerStep {
  /** Index of the step, from 0. */
  readonly index: number;
  /** Number of steps, `sigmas.length - 1`. */
  readonly total: number;
  /** Noise level that the step started from, `sigmas[index]`. */
  readonly sigma: number;
  /** Latent at the end of the step, at noise level `sigmas[index + 1]`. */
  readonly latent: Float32Array;
  /** Denoised latent predicted at the start of the step: the image so far. */
  readonly denoised: Float32Array;
}

/** What the pipeline provides to a sampler. */
export interface SamplerContext {
  /**
   * Fresh standard normal noise of the latent's length. Each call advances the generator, so call it only for noise
   * that is used.
   */
  noise(): Float32Array;
  /**
   * The noise that the model was trained with. Always present in runs of a model. If it is absent, samplers assume a
   * diffusion model with `table`.
   */
  readonly noiseModel?: NoiseModel | undefined;
  /**
   * Noise levels of the model's training steps, for samplers that are defined on timesteps (TCD). For flow models,
   * which have no such table, reading it throws a DiffusionError `ERR_MODEL_UNSUPPORTED`.
   */
  readonly table: SigmaTable;
  /**
   * Share of the noise that a stochastic sampler adds again after each step, 0 (deterministic) to 1. Default: that of
   * the sampler's method: 1 for `euler_a`, `dpm++2s_a` and `dpm++2m_sde`, 0 for `ddim_trailing` and
   * `tcd`. The others ignore it.
   */
  readonly eta?: number | undefined;
  /** Called once after each step, and awaited. */
  onStep?: ((step: SamplerStep) => void | Promise<void>) | undefined;
}

/**
 * A sampler. Pass your own as the `sampler` option of a pipeline:
 *
 * ```ts
 * const euler: Sampler = async (denoise, x, sigmas, { onStep }) => {
 *   const total = sigmas.length - 1;
 *   for (let index = 0; index < total; index++) {
 *     const sigma = sigmas[index]!;
 *     const ratio = sigmas[index + 1]! / sigma;
 *     const denoised = await denoise(x, sigma);
 *     x = x.map((value, i) => ratio * value + (1 - ratio) * denoised[i]!);
 *     await onStep?.({ index, total, sigma, latent: x, denoised });
 *   }
 *   return x;
 * };
 * ```
 *
 * @param denoise the network with prediction type and guidance applied.
 * @param x latent at noise level `sigmas[0]`. Not written to: a sampler returns a new array.
 * @param sigmas strictly decreasing noise levels, one per step and a final 0.
 * @returns the latent at `sigmas.at(-1)`, as long as `x`.
 */
export type Sampler = (
  denoise: Denoiser,
  x: Float32Array,
  sigmas: Float64Array,
  context: SamplerContext,
) => Promise<Float32Array>;
