// Flow matching: straight paths from image to noise (rectified flow, Liu et al. 2022, arXiv:2209.03003; Lipman et al.
// 2022, arXiv:2210.02747).

import { linear } from '../core/arrays.ts';
import { describe } from '../core/errors.ts';
import { OptionCheck } from '../options/check.ts';
import type { SigmaLevels } from './levels.ts';
import type { AncestralStep, NoiseModel } from './noise-model.ts';

/** Training steps of the published models. */
const TRAINING_STEPS = 1000;
/** Replaces pure noise (1) where the signal-to-noise ratio must not be 0; before the shift. */
const NEARLY_NOISE = 0.9999;

/** How a flow model was trained. */
export interface FlowOptions {
  /**
   * Shift of the noise levels towards noise, above 0 and finite: `sigma = shift t / (1 + (shift - 1) t)` for t from 0
   * to 1 (Esser et al. 2024, arXiv:2403.03206, eq. 23). Default 1: no shift. A dynamic shift given as mu is
   * `Math.exp(mu)`.
   */
  readonly shift?: number | undefined;
}

/** The noise levels of a flow model: timestep t, 1 to 1000, has the shifted level t / 1000. */
export class FlowLevels implements SigmaLevels {
  readonly shift: number;
  readonly sigmas: Float64Array;
  readonly minTimestep = 1;
  readonly maxTimestep: number = TRAINING_STEPS;
  readonly sigmaMax = 1;
  readonly #isFlow = true;

  /** Whether a value is an instance of this copy of the package. */
  static is(value: unknown): value is FlowLevels {
    return typeof value === 'object' && value !== null && #isFlow in value;
  }

  /** @throws TypeError or RangeError for invalid options, with all problems in `problems`. */
  constructor(options: FlowOptions = {}) {
    const check = new OptionCheck(options, ['shift']);
    const shift = check.value('shift') === undefined ? 1 : check.value('shift');
    const isNumber = typeof shift === 'number';
    if (!isNumber || !(shift > 0 && shift < Number.POSITIVE_INFINITY)) {
      const code = isNumber ? 'ERR_INVALID_ARG_VALUE' : 'ERR_INVALID_ARG_TYPE';
      check.problem({ name: 'shift', expected: 'a finite number above 0', received: describe(shift), code });
    }
    check.done();
    this.shift = shift as number;
    this.sigmas = Float64Array.from({ length: TRAINING_STEPS }, (_, k) => this.sigmaAt(k + 1));
  }

  get sigmaMin(): number {
    return this.sigmas[0] as number;
  }

  sigmaAt(timestep: number): number {
    const t = Math.min(Math.max(timestep, 0), TRAINING_STEPS) / TRAINING_STEPS;
    return (this.shift * t) / (1 + (this.shift - 1) * t);
  }

  timestepAt(sigma: number): number {
    const level = Math.min(Math.max(sigma, 0), 1);
    return (TRAINING_STEPS * level) / (this.shift - (this.shift - 1) * level);
  }

  nearestTimestep(sigma: number): number {
    return Math.max(Math.round(this.timestepAt(sigma)), this.minTimestep);
  }
}

/**
 * The noise of flow models: `x = (1 - sigma) x0 + sigma noise`, of which the network predicts `noise - x0`. In terms of
 * sigma, deterministic steps are the same as for diffusion models, but stochastic ones are not.
 */
export class FlowNoise implements NoiseModel {
  readonly prediction = 'flow';
  readonly levels: FlowLevels;

  constructor(options: FlowOptions = {}) {
    this.levels = new FlowLevels(options);
  }

  alpha(sigma: number): number {
    return 1 - sigma;
  }

  addNoise(clean: Float32Array, noise: Float32Array, sigma: number): Float32Array {
    return linear([1 - sigma, clean], [sigma, noise]);
  }

  scaleInput(x: Float32Array): Float32Array {
    return x;
  }

  timestep(sigma: number): number {
    return TRAINING_STEPS * sigma;
  }

  toDenoised(x: Float32Array, predicted: Float32Array, sigma: number): Float32Array {
    return x.map((value, i) => value - sigma * (predicted[i] as number));
  }

  /**
   * Denoises to `next (1 + eta (next / sigma - 1))`. From there it scales the latent so that the image has its share at
   * `next`, and adds fresh noise, like ComfyUI's ancestral samplers for rectified flow.
   */
  ancestralStep(sigma: number, next: number, eta: number): AncestralStep {
    const down = next * (1 + eta * (next / sigma - 1));
    const scale = this.alpha(next) / this.alpha(down);
    return { down, scale, up: Math.sqrt(Math.max(next ** 2 - (scale * down) ** 2, 0)) };
  }

  middle(sigma: number, next: number): number {
    if (sigma >= 1) return NEARLY_NOISE;
    return 1 / (1 + Math.exp((logSnr(sigma) + logSnr(next)) / 2));
  }

  logSnrStep(sigma: number, next: number): number {
    return logSnr(next) - logSnr(sigma);
  }

  withFiniteSnr(sigmas: Float64Array): Float64Array {
    if ((sigmas[0] as number) < 1) return sigmas;
    const [, ...rest] = sigmas;
    // Custom levels may be even closer to pure noise.
    const least = (1 + (rest[0] as number)) / 2;
    return Float64Array.of(Math.max(this.levels.sigmaAt(NEARLY_NOISE * TRAINING_STEPS), least), ...rest);
  }
}

/** Half the logarithm of the signal-to-noise ratio. */
function logSnr(sigma: number): number {
  return Math.log((1 - sigma) / sigma);
}
