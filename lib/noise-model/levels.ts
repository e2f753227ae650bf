// The noise levels that a network was trained on, for every kind of noise.

/** Noise levels of the training steps, and conversion between noise levels and timesteps. */
export interface SigmaLevels {
  /** Noise level of each training step, increasing, above 0. `sigmas[k]` is that of timestep `minTimestep + k`. */
  readonly sigmas: Float64Array;
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  /** First training step: 0 for diffusion models, 1 for flow matching, where 0 means no noise. */
  readonly minTimestep: number;
  /** Last training step: 999 for Stable Diffusion. */
  readonly maxTimestep: number;
  /** Noise level at a timestep, which need not be an integer; clamped to the training steps. */
  sigmaAt(timestep: number): number;
  /** Timestep of a noise level, in general not an integer; clamped to the training steps. Inverse of `sigmaAt`. */
  timestepAt(sigma: number): number;
  /** The training step whose noise level is nearest to `sigma`; the first for a sigma of 0. */
  nearestTimestep(sigma: number): number;
}
