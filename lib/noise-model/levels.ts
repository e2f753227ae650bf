// The noise levels that a network was trained on, whatever the kind of noise.

/** Noise levels of the training steps, and the way between a noise level and its place among them. */
export interface SigmaLevels {
  /** Noise level of each training step, rising, each above 0. `sigmas[k]` is that of timestep `minTimestep + k`. */
  readonly sigmas: Float64Array;
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  /** First training step: 0 for diffusion models, 1 for flow matching, where 0 is no noise at all. */
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
