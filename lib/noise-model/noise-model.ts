// The noise that a network was trained to remove: how it is added, what the network sees of it, and what it predicts.

import type { SigmaLevels } from './levels.ts';

/**
 * What the network of a diffusion model was trained to predict of `x = x0 + sigma noise`: `epsilon`, the noise (Ho et
 * al. 2020, arXiv:2006.11239), or `v`, the velocity `alpha noise - sqrt(1 - alpha^2) x0` with `alpha^2 = 1 / (1 +
 * sigma^2)` (Salimans and Ho 2022, arXiv:2202.00512).
 */
export type PredictionType = 'epsilon' | 'v';

/** The names, in the order in which users see them. */
export const PREDICTION_TYPES: readonly PredictionType[] = ['epsilon', 'v'];

/** How an ancestral step is split: denoise below the next noise level, then add fresh noise. */
export interface AncestralStep {
  /** Noise level at the end of the deterministic part. */
  readonly down: number;
  /** Factor that scales the latent before noise is added. */
  readonly scale: number;
  /** Standard deviation of the fresh noise. */
  readonly up: number;
}

/**
 * The noise of a model: `x = alpha(sigma) x0 + sigma noise`. Latents are flat and never changed. Everything that
 * differs between kinds of noise is here, so that samplers, schedules and initial latents do not depend on it.
 */
export interface NoiseModel {
  /** What the network predicts; `flow` is the velocity `noise - x0` of rectified flow. */
  readonly prediction: PredictionType | 'flow';
  /** Noise levels of the training steps, from which schedules choose. */
  readonly levels: SigmaLevels;
  /** Share of the clean latent at a noise level. */
  alpha(sigma: number): number;
  /** `alpha x0 + sigma noise`: a clean latent at a noise level. */
  addNoise(clean: Float32Array, noise: Float32Array, sigma: number): Float32Array;
  /** Scales a latent for the network's input. */
  scaleInput(x: Float32Array, sigma: number): Float32Array;
  /** The timestep for the network's input, in general not an integer. */
  timestep(sigma: number): number;
  /** The denoised latent: x0 according to the network's prediction. */
  toDenoised(x: Float32Array, predicted: Float32Array, sigma: number): Float32Array;
  /**
   * @param next noise level at the end of the step, below `sigma`, or 0.
   * @param eta share of fresh noise: 0 is deterministic, 1 is ancestral sampling.
   */
  ancestralStep(sigma: number, next: number, eta: number): AncestralStep;
  /** The noise level halfway in `log(alpha / sigma)`, where two-stage solvers evaluate the network again. */
  middle(sigma: number, next: number): number;
  /** Increase of `log(alpha / sigma)`, half the logarithm of the signal-to-noise ratio, over a step; above 0. */
  logSnrStep(sigma: number, next: number): number;
  /** The noise levels, with a first one just below pure noise if its `log(alpha / sigma)` would not be finite. */
  withFiniteSnr(sigmas: Float64Array): Float64Array;
}
