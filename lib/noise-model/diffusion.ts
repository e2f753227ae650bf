// Diffusion models: noise is added to an unscaled latent (the variance-exploding form of Karras et al. 2022,
// arXiv:2206.00364), and the network sees the sum scaled to unit variance.

import { linear } from '../core/arrays.ts';
import { describe } from '../core/errors.ts';
import { OptionCheck } from '../options/check.ts';
import { type AncestralStep, type NoiseModel, PREDICTION_TYPES, type PredictionType } from './noise-model.ts';
import { SigmaTable } from './sigma-table.ts';

/**
 * The noise of networks that predict epsilon or v. With zero terminal SNR (Lin et al. 2023, arXiv:2305.08891) the last
 * level of the table is so high that almost nothing of the image remains.
 */
export class DiffusionNoise implements NoiseModel {
  readonly prediction: PredictionType;
  readonly levels: SigmaTable;

  /** @throws TypeError or RangeError for anything but the name of a prediction and a {@link SigmaTable}. */
  constructor(prediction: PredictionType, levels: SigmaTable) {
    const check = new OptionCheck({ prediction: prediction ?? null, levels }, ['prediction', 'levels']);
    this.prediction = check.name('prediction', 'epsilon', PREDICTION_TYPES);
    if (!SigmaTable.is(levels)) {
      const [expected, code] = ['a SigmaTable', 'ERR_INVALID_ARG_TYPE'] as const;
      check.problem({ name: 'levels', expected, received: describe(levels), code });
    }
    check.done();
    this.levels = levels;
  }

  alpha(): number {
    return 1;
  }

  addNoise(clean: Float32Array, noise: Float32Array, sigma: number): Float32Array {
    return linear([1, clean], [sigma, noise]);
  }

  scaleInput(x: Float32Array, sigma: number): Float32Array {
    const factor = toUnitVariance(sigma);
    return x.map((value) => factor * value);
  }

  timestep(sigma: number): number {
    return this.levels.timestepAt(sigma);
  }

  /** With the factors of k-diffusion's DiscreteEpsDDPMDenoiser and DiscreteVDDPMDenoiser. */
  toDenoised(x: Float32Array, predicted: Float32Array, sigma: number): Float32Array {
    const scale = toUnitVariance(sigma);
    const [skip, out] = this.prediction === 'v' ? [scale * scale, -sigma * scale] : [1, -sigma];
    return x.map((value, i) => skip * value + out * (predicted[i] as number));
  }

  /**
   * `down^2 + up^2 = next^2` (k-diffusion's get_ancestral_step; equals DDIM's eta, Song et al. 2020, arXiv:2010.02502,
   * eq. 16).
   */
  ancestralStep(sigma: number, next: number, eta: number): AncestralStep {
    const up = Math.min(next, eta * next * Math.sqrt(Math.max(1 - (next / sigma) ** 2, 0)));
    return { down: Math.sqrt(Math.max(next * next - up * up, 0)), scale: 1, up };
  }

  middle(sigma: number, next: number): number {
    return Math.sqrt(sigma * next);
  }

  logSnrStep(sigma: number, next: number): number {
    return Math.log(sigma / next);
  }

  withFiniteSnr(sigmas: Float64Array): Float64Array {
    return sigmas;
  }
}

function toUnitVariance(sigma: number): number {
  return 1 / Math.sqrt(sigma * sigma + 1);
}
