// Converts the network's prediction to the denoised latent that samplers need.

import type { NoiseModel } from '../noise-model/index.ts';
import type { Denoiser } from '../sampler/types.ts';

/**
 * One guided evaluation of the network.
 *
 * @param latent noisy latent, scaled for the network, `[batch, channels, height, width]`, flat.
 * @param timestep timestep of the noise level, in general not an integer.
 * @returns the network's raw prediction, as long as `latent`.
 */
export type Predict = (latent: Float32Array, timestep: number) => Promise<Float32Array>;

/**
 * Creates the denoiser D(x; sigma) = c_skip x + c_out F(c_in x; t) of a network F (Karras et al. 2022,
 * arXiv:2206.00364, eq. 7).
 */
export function denoiserFor(predict: Predict, noise: NoiseModel): Denoiser {
  return async (x, sigma) => {
    const predicted = await predict(noise.scaleInput(x, sigma), noise.timestep(sigma));
    return noise.toDenoised(x, predicted, sigma);
  };
}
