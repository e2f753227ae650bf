// The noise that a network was trained to remove: how it is added, what the network sees of it, and what it predicts.

import type { SigmaLevels } from './levels.ts';

/**
 * What the network of a diffusion model was trained to predict of `x = x0 + sigma noise`: `epsilon`, the noise (Ho et al. 2020,
 * arXiv:2006.11239), or `v`, the velocity `alpha noise - sqrt(1 - alpha^2) x0` with `alpha^2 = 1 / (1 + sigma^2)` (Salimans and Ho 2022,
 * arXiv:2202.00512).
 */
export type PredictionType = 'epsilon' | 'v';

/** The names in the order in which they are listed to users. */
export const PREDICTION_TYPES: readonly PredictionType[] = ['epsilon', 'v'];

/** How an ancestral step from one noise level to the next is split into going further down and adding fresh noise. */
export interface AncestralStep {
  /** Noise level that the deterministic part goes down to. */
  readonly down: number;
  /** Factor of the latent before noise is added. */
  readonly scale: number;
  /** Standard deviation of the fresh noise. */
  readonly up: number;
}

/**
 * The noise of a model: `x = alpha(sigma) x0 + sigma noise`. Latents are flat and never written to. Everything that differs between kinds
 * of noise is here, so that samplers, schedules and initial latents need not know which kind it is.
 */
export interface NoiseModel {
  /** What the network predicts; `flow` is the velocity `noise - x0` of rectified flow. */
  readonly prediction: PredictionType | 'flow';
  /** Noise levels of the training steps, which schedules choose from. */
  readonly levels: SigmaLevels;
  /** Share of the clean latent at a noise level. */
  alpha(sigma: number): number;
  /** `alpha x0 + sigma noise`: a clean latent brought to a noise level. */
  addNoise(clean: Float32Array, noise: Float32Array, sigma: number): Float32Array;
  /** The latent as the network sees it. */
  scaleInput(x: Float32Array, sigma: number): Float32Array;
  /** The timestep that the network is given, in general not an integer. */
  timestep(sigma: number): number;
  /** The denoised latent: x0 according to the network's prediction. */
  toDenoised(x: Float32Array, predicted: Float32Array, sigma: number): Float32Array;
  /**
   * @param next noise level at the end of the step, below `sigma`, or 0.
   * @param eta share of fresh noise: 0 is deterministic, 1 is ancestral sampling.
   */
  ancestralStep(sigma: number, next: number, eta: number): AncestralStep;
  /** The noise level halfway in `log(alpha / sigma)`, where two-stage solvers evaluate the network once more. */
  middle(sigma: number, next: number): number;
  /** Growth of `log(alpha / sigma)`, half the logarithm of the signal-to-noise ratio, over a step; above 0. */
  logSnrStep(sigma: number, next: number): number;
  /** The same noise levels, with a first one whose `log(alpha / sigma)` is finite, which that of pure noise is not. */
  withFiniteSnr(sigmas: Float64Array): Float64Array;
}
