// From what a network predicts, noise or velocity, to the denoised latent that samplers ask for.

import type { Denoiser } from '../sampler/types.ts';
import type { SigmaTable } from '../schedule/discrete.ts';

/**
 * What a network was trained to predict of x = x0 + sigma noise: `epsilon`, the noise (Ho et al. 2020), or `v`, the
 * velocity `alpha noise - sqrt(1 - alpha^2) x0` with alpha^2 = 1 / (1 + sigma^2) (Salimans and Ho 2022,
 * arXiv:2202.00512).
 */
export type PredictionType = 'epsilon' | 'v';

/** The names in the order in which they are listed to users. */
export const PREDICTION_TYPES: readonly PredictionType[] = ['epsilon', 'v'];

/**
 * One guided evaluation of the network.
 *
 * @param latent noisy latent scaled to unit variance, `[batch, channels, height, width]`, flat.
 * @param timestep training step that the noise level belongs to, 0 to 999, in general not whole.
 * @returns the network's raw prediction, as long as `latent`.
 */
export type Predict = (latent: Float32Array, timestep: number) => Promise<Float32Array>;

/**
 * Makes the denoiser D(x; sigma) = c_skip x + c_out F(c_in x; t) of a network F (Karras et al. 2022, eq. 7), with the
 * factors of k-diffusion's DiscreteEpsDDPMDenoiser and DiscreteVDDPMDenoiser.
 *
 * @param table noise levels the network was trained on; noise levels between two training steps get a timestep between
 *   them.
 */
export function denoiserFor(predict: Predict, prediction: PredictionType, table: SigmaTable): Denoiser {
  return async (x, sigma) => {
    const { skip, out, input } = scalings(prediction, sigma);
    const predicted = await predict(
      x.map((value) => input * value),
      table.timestepAt(sigma),
    );
    return x.map((value, i) => skip * value + out * (predicted[i] as number));
  };
}

/** c_skip, c_out and c_in at a noise level. */
function scalings(prediction: PredictionType, sigma: number): { skip: number; out: number; input: number } {
  const input = 1 / Math.sqrt(sigma * sigma + 1);
  return prediction === 'v' ? { skip: input * input, out: -sigma * input, input } : { skip: 1, out: -sigma, input };
}
