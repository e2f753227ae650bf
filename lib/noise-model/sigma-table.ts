// The noise levels of a discrete-time diffusion model, and conversion between sigmas and timesteps.

import { argumentError, DiffusionError, describe } from '../core/errors.ts';
import { numbersOf } from '../options/check.ts';
import type { SigmaLevels } from './levels.ts';
import type { NoiseModel } from './noise-model.ts';

/** Number of training steps of Stable Diffusion. */
const TRAINING_STEPS = 1000;
/** More than any model has. */
const MAX_TRAINING_STEPS = 2 ** 16;

/**
 * Sigma of every training step, `sqrt((1 - alphaCumprod) / alphaCumprod)`, as in k-diffusion's DiscreteSchedule:
 * `sigmas[t]` is the level of timestep t, and between two timesteps log(sigma) is linear in t.
 */
export class SigmaTable implements SigmaLevels {
  /** Cumulative products of the alphas at each training step, decreasing, between 0 and 1. */
  readonly alphasCumprod: Float64Array;
  /** Noise level of each training step, increasing. */
  readonly sigmas: Float64Array;
  readonly minTimestep = 0;
  readonly #logSigmas: Float64Array;

  /**
   * @param alphasCumprod one value per training step, 2 to 65,536, strictly decreasing, each above 0 and below 1.
   * @throws TypeError `ERR_INVALID_ARG_TYPE` for anything but a list of numbers.
   * @throws RangeError `ERR_INVALID_ARG_VALUE` for any other values.
   */
  constructor(alphasCumprod: ArrayLike<number>) {
    this.alphasCumprod = checkAlphasCumprod(alphasCumprod);
    this.sigmas = this.alphasCumprod.map((alpha) => Math.sqrt((1 - alpha) / alpha));
    this.#logSigmas = this.sigmas.map(Math.log);
  }

  /** Whether a value is an instance of this copy of the package. */
  static is(value: unknown): value is SigmaTable {
    return typeof value === 'object' && value !== null && #logSigmas in value;
  }

  /** Noise level of the first training step. */
  get sigmaMin(): number {
    return this.sigmas[0] as number;
  }

  /** Noise level of the last training step. */
  get sigmaMax(): number {
    return this.sigmas[this.maxTimestep] as number;
  }

  /** Index of the last training step, 999 for Stable Diffusion. */
  get maxTimestep(): number {
    return this.sigmas.length - 1;
  }

  /** Noise level at a timestep, which need not be an integer; clamped to the table. */
  sigmaAt(timestep: number): number {
    checkNumber(timestep, 'timestep');
    const t = Math.min(Math.max(timestep, 0), this.maxTimestep);
    const low = Math.floor(t);
    const w = t - low;
    const logSigma = this.#logSigmas;
    return Math.exp((1 - w) * (logSigma[low] as number) + w * (logSigma[Math.ceil(t)] as number));
  }

  /** Timestep of a noise level, in general not an integer; clamped to the table. Inverse of {@link sigmaAt}. */
  timestepAt(sigma: number): number {
    checkNumber(sigma, 'sigma');
    const logSigma = Math.log(sigma);
    const high = Math.min(Math.max(this.#firstAtLeast(sigma), 1), this.maxTimestep);
    const low = high - 1;
    const lowLog = this.#logSigmas[low] as number;
    const w = (logSigma - lowLog) / ((this.#logSigmas[high] as number) - lowLog);
    return low + Math.min(Math.max(w, 0), 1);
  }

  /** The integer timestep whose noise level is nearest to `sigma`; 0 for a sigma of 0. */
  nearestTimestep(sigma: number): number {
    checkNumber(sigma, 'sigma');
    const high = Math.min(this.#firstAtLeast(sigma), this.maxTimestep);
    if (high === 0) return 0;
    const above = Math.abs((this.sigmas[high] as number) - sigma);
    const below = Math.abs((this.sigmas[high - 1] as number) - sigma);
    return above < below ? high : high - 1;
  }

  /** Index of the first training step with a noise level of at least `sigma`, or the table's length. */
  #firstAtLeast(sigma: number): number {
    let low = 0;
    let high = this.sigmas.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.sigmas[middle] as number) < sigma) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * The table of a diffusion model.
 *
 * @throws DiffusionError `ERR_MODEL_UNSUPPORTED` if the model has none.
 */
export function tableOf({ levels, prediction }: NoiseModel): SigmaTable {
  if (SigmaTable.is(levels)) return levels;
  const message = `Expected a diffusion model, with a table of noise levels, but received one that predicts ${prediction}`;
  throw new DiffusionError('ERR_MODEL_UNSUPPORTED', `${message}. Use another sampler than tcd, and noiseModel.levels`);
}

/**
 * Stable Diffusion's table: 1000 steps whose betas are linear in their square roots from 0.00085 to 0.012 (LDM's
 * "linear" schedule, diffusers' "scaled_linear"), computed in float64 as LDM does.
 */
export function stableDiffusionTable(): SigmaTable {
  const first = Math.sqrt(0.00085);
  const last = Math.sqrt(0.012);
  let product = 1;
  const alphasCumprod = Float64Array.from({ length: TRAINING_STEPS }, (_, t) => {
    const rootBeta = first + ((last - first) * t) / (TRAINING_STEPS - 1);
    product *= 1 - rootBeta * rootBeta;
    return product;
  });
  return new SigmaTable(alphasCumprod);
}

function checkNumber(value: unknown, name: string): void {
  if (typeof value === 'number') return;
  throw argumentError([{ name, expected: 'a number', received: describe(value), code: 'ERR_INVALID_ARG_TYPE' }]);
}

function checkAlphasCumprod(given: ArrayLike<number>): Float64Array {
  const expected = 'at least two strictly falling values between 0 and 1';
  const alphas = Float64Array.from(numbersOf(given, 'alphasCumprod', MAX_TRAINING_STEPS, expected));
  const wrong = alphas.findIndex((alpha, t) => !(alpha > 0 && alpha < (t === 0 ? 1 : (alphas[t - 1] as number))));
  if (alphas.length >= 2 && wrong < 0) return alphas;
  throw argumentError([
    {
      name: 'alphasCumprod',
      expected,
      received: wrong < 0 ? `${alphas.length} of them` : `${describe(alphas[wrong])} at index ${wrong}`,
      code: 'ERR_INVALID_ARG_VALUE',
    },
  ]);
}
