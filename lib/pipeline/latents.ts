// Converts between images and diffusion latents, with the VAE.

import { familyOf, type LatentFormat } from '../family/index.ts';
import { type Pixels, toPlanes } from '../image/pixels.ts';
import type { Size } from '../image/resize.ts';
import type { LoadedModelInfo } from '../native/contract.ts';
import type { Networks, Shape } from '../native/networks.ts';

/** Converts the VAE's latents to diffusion latents: `z = scale (mean - shift)`. */
export type LatentScale = Pick<LatentFormat, 'scale' | 'shift'>;

/**
 * The scale of a model: that of its family, or 1 with a tiny autoencoder in place of the VAE, whose latents are
 * diffusion latents.
 */
export function latentScaleOf(info: Pick<LoadedModelInfo, 'family' | 'components'>): LatentScale {
  const vae = info.components.find(({ kind }) => kind === 'vae');
  return vae?.config.tiny === true ? { scale: 1, shift: 0 } : familyOf(info).latent;
}

/** The VAE encoder's output for an image: the normal distribution of its latent. */
export interface Posterior {
  /** `[2 * channels, height, width]`: mean, then logarithm of the variance. */
  readonly moments: Float32Array;
  readonly scale: LatentScale;
}

/** Encodes an image, once for all images of a batch. */
export async function encodeImage(networks: Networks, image: Pixels): Promise<Posterior> {
  return encodePlanes(networks, await toPlanes(image), image);
}

/** Encodes planes `[3, height, width]`, -1..1. */
export async function encodePlanes(
  networks: Networks,
  planes: Float32Array,
  { width, height }: Size,
): Promise<Posterior> {
  const moments = await networks.encode(planes, [1, 3, height, width]);
  return { moments, scale: latentScaleOf(networks.info) };
}

/**
 * Decodes diffusion latents.
 *
 * @returns planes `[batch, 3, height, width]` of about -1..1.
 */
export async function decodeLatents(networks: Networks, latents: Float32Array, shape: Shape): Promise<Float32Array> {
  return networks.decode(fromDiffusion(latents, latentScaleOf(networks.info)), shape);
}

/** Converts VAE latents to diffusion latents. */
export function toDiffusion(latents: Float32Array, { scale, shift }: LatentScale): Float32Array {
  return latents.map((value) => scale * (value - shift));
}

/** Converts diffusion latents to VAE latents. */
export function fromDiffusion(latents: Float32Array, { scale, shift }: LatentScale): Float32Array {
  return latents.map((value) => value / scale + shift);
}

/** The mean of an image's latent, in the VAE's scale: editing models were trained on it. */
export function meanLatent({ moments }: Posterior): Float32Array {
  return moments.slice(0, moments.length / 2);
}

/** Log variances are clamped as in LDM, so that they do not overflow. */
const LOG_VARIANCE = { min: -30, max: 20 } as const;

/**
 * Samples the latent of an image once for each image of a batch.
 *
 * @param noise `[batch, channels, height, width]`
 * @returns diffusion latents.
 */
export function sampleLatent({ moments, scale }: Posterior, noise: Float32Array): Float32Array {
  const length = moments.length / 2;
  return noise.map((value, i) => {
    const mean = moments[i % length] as number;
    const logVariance = moments[length + (i % length)] as number;
    const deviation = Math.exp(0.5 * Math.min(Math.max(logVariance, LOG_VARIANCE.min), LOG_VARIANCE.max));
    return scale.scale * (mean + deviation * value - scale.shift);
  });
}
