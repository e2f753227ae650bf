// Initial latents: pure noise, an image with noise, or an image of which a part is kept.

import { linear } from '../core/arrays.ts';
import type { NoiseModel } from '../noise-model/index.ts';
import type { Convention, MaskedContent } from '../task/image-rows.ts';
import { type Posterior, sampleLatent } from './latents.ts';

/** The latents that sampling starts from. */
export interface InitialLatents {
  /** The latent at noise level `sigmas[0]`. */
  readonly latent: Float32Array;
  /** The remaining noise levels, the last 0; only 0 if nothing is to be sampled. */
  readonly sigmas: Float64Array;
  /** Preserves a part of the latent. Undefined if all of it is regenerated. */
  readonly keep?: Keep;
  /** Concat conditioning, `[batch or 1, channels, height, width]`. Undefined if the UNet takes the latent alone. */
  readonly concatChannels?: Float32Array;
}

/** Restores the part to keep in latents. */
export interface Keep {
  /** In a denoised latent, after each evaluation and at the end. */
  clean(denoised: Float32Array): Float32Array;
  /** In the noisy latent that is evaluated, at its noise level. Undefined if the sampler's latent is used as it is. */
  readonly noisy?: (latent: Float32Array, sigma: number) => Float32Array;
}

/** The random numbers of a run. */
export interface Draws {
  /** The next standard normal noise, one latent per image, from the generators of their seeds. */
  next(): Float32Array;
  /** The same from new generators with the same seeds, which start again from the first numbers. */
  restart(): () => Float32Array;
}

/**
 * Creates the initial latents of a run.
 *
 * @param sigmas all noise levels of the schedule.
 * @param noiseModel how noise is added.
 */
export type MakeInitialLatents = (sigmas: Float64Array, draws: Draws, noiseModel: NoiseModel) => InitialLatents;

/** How image to image works by convention. */
interface Rules {
  /** The random numbers for sampling the latents of images. */
  forImages(draws: Draws): () => Float32Array;
  /** How many of `total` steps are run at a strength above 0: the last ones. */
  stepsTaken(total: number, strength: number): number;
}

const RULES: Readonly<Record<Convention, Rules>> = {
  // The seed's first numbers are the noise. The image's latent is sampled with the same numbers again, as in
  // stable-diffusion.cpp (AUTOMATIC1111 and ComfyUI use unseeded numbers for it).
  webui: {
    forImages: (draws) => draws.restart(),
    stepsTaken: (total, strength) => Math.min(Math.floor(total * strength) + 1, total),
  },
  diffusers: {
    forImages: (draws) => draws.next,
    stepsTaken: (total, strength) => Math.max(Math.floor(total * strength), 1),
  },
};

/** Pure noise at the first noise level. */
export const fromNoise: MakeInitialLatents = (sigmas, draws) => pureNoise(sigmas, draws.next());

function pureNoise(sigmas: Float64Array, noise: Float32Array): InitialLatents {
  return { latent: linear([sigmas[0] as number, noise]), sigmas };
}

function noisyImage(
  sigmas: Float64Array,
  image: Float32Array,
  noise: Float32Array,
  noiseModel: NoiseModel,
): InitialLatents {
  return { latent: noiseModel.addNoise(image, noise, sigmas[0] as number), sigmas };
}

/** An image with noise at the level where the last steps begin (SDEdit, Meng et al. 2021, arXiv:2108.01073). */
export function fromImage(posterior: Posterior, strength: number, convention: Convention): MakeInitialLatents {
  return (sigmas, draws, noiseModel) => {
    const rest = lastSteps(sigmas, strength, convention);
    const image = sampleLatent(posterior, RULES[convention].forImages(draws)());
    return noisyImage(rest, image, draws.next(), noiseModel);
  };
}

/** How a part of an image is regenerated. */
export interface MaskedStart {
  readonly strength: number;
  readonly convention: Convention;
  /** `[height, width]`: 1 for each latent cell that is regenerated, 0 for each that is kept. */
  readonly mask: Uint8Array;
  /** Cells per row. */
  readonly width: number;
  /** The masked content before noise is added; `fill` was already applied to the image. */
  readonly content: MaskedContent;
}

/**
 * An image of which a part is regenerated and the rest is kept: the prediction for the rest is replaced with the
 * image's latent. diffusers also replaces the rest of the noisy latent, with the image plus the initial noise at that
 * level, and starts from pure noise at a strength of 1.
 */
export function fromMaskedImage(posterior: Posterior, start: MaskedStart): MakeInitialLatents {
  const { strength, convention, mask } = start;
  return (sigmas, draws, noiseModel) => {
    const rest = lastSteps(sigmas, strength, convention);
    const image = sampleLatent(posterior, RULES[convention].forImages(draws)());
    const noise = draws.next();
    const clean = (denoised: Float32Array) => composite(denoised, image, mask);
    if (convention === 'webui')
      return { ...noisyImage(rest, initialContent(image, start, draws), noise, noiseModel), keep: { clean } };
    // diffusers samples the latent of the masked image here, which only inpainting models use.
    draws.next();
    const noisy = (latent: Float32Array, sigma: number) =>
      composite(latent, noiseModel.addNoise(image, noise, sigma), mask);
    const initial =
      strength === 1
        ? pureNoise(rest, noise)
        : noisyImage(rest, initialContent(image, start, draws), noise, noiseModel);
    return { ...initial, keep: { clean, noisy } };
  };
}

/**
 * The same for inpainting models, which take the mask and the masked image in addition to the latent (Rombach et al.
 * 2022, section 4.5). Cells that are not adjacent to the mask are also kept, except in diffusers.
 *
 * @param posterior undefined if sampling starts from pure noise: in txt2img, and in diffusers at a strength of 1.
 * @param masked the image with the masked part gray.
 */
export function concatMaskedImage(
  posterior: Posterior | undefined,
  masked: Posterior,
  start: MaskedStart,
): MakeInitialLatents {
  const { strength, convention, mask, width } = start;
  return (sigmas, draws, noiseModel) => {
    const rest = lastSteps(sigmas, strength, convention);
    const forImages = RULES[convention].forImages(draws);
    const image = posterior && sampleLatent(posterior, forImages());
    const noise = draws.next();
    const concatChannels = maskAndImage(mask, sampleLatent(masked, forImages()), masked.moments.length / 2);
    if (!image) return { ...pureNoise(rest, noise), concatChannels };
    const initial = { ...noisyImage(rest, initialContent(image, start, draws), noise, noiseModel), concatChannels };
    if (convention === 'diffusers') return initial;
    const dilated = dilate(mask, width);
    return { ...initial, keep: { clean: (denoised) => composite(denoised, image, dilated) } };
  };
}

/** Adds concat conditioning, `[1, channels, height, width]`, to initial latents. */
export function withConcatChannels(make: MakeInitialLatents, concatChannels: Float32Array): MakeInitialLatents {
  return (sigmas, draws, noiseModel) => ({ ...make(sigmas, draws, noiseModel), concatChannels });
}

/** One latent where the mask is 1, another where it is 0. */
function composite(masked: Float32Array, unmasked: Float32Array, mask: Uint8Array): Float32Array {
  return masked.map((value, i) => (mask[i % mask.length] === 1 ? value : (unmasked[i] as number)));
}

/** An image before noise is added, with its masked part replaced as `content` says. */
function initialContent(image: Float32Array, { content, mask, convention }: MaskedStart, draws: Draws): Float32Array {
  if (content === 'original' || content === 'fill') return image;
  if (content === 'nothing') return composite(new Float32Array(image.length), image, mask);
  return composite(convention === 'webui' ? draws.restart()() : draws.next(), image, mask);
}

/** A mask dilated by one cell, as in stable-diffusion.cpp for inpainting models. */
function dilate(mask: Uint8Array, width: number): Uint8Array {
  const height = mask.length / width;
  const result = new Uint8Array(mask.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, height - 1); row++) {
        const from = row * width;
        if (mask.subarray(from + Math.max(x - 1, 0), from + Math.min(x + 2, width)).includes(1))
          result[y * width + x] = 1;
      }
    }
  }
  return result;
}

/** Prepends the mask to each of several latents of the given length. */
function maskAndImage(mask: Uint8Array, latents: Float32Array, length: number): Float32Array {
  const images = latents.length / length;
  const both = new Float32Array(images * (mask.length + length));
  for (let i = 0; i < images; i++) {
    both.set(mask, i * (mask.length + length));
    both.set(latents.subarray(i * length, (i + 1) * length), i * (mask.length + length) + mask.length);
  }
  return both;
}

/** The noise levels of the steps that are run at a strength; only the last level for 0. */
function lastSteps(sigmas: Float64Array, strength: number, convention: Convention): Float64Array {
  const total = sigmas.length - 1;
  return sigmas.subarray(total - (strength === 0 ? 0 : RULES[convention].stepsTaken(total, strength)));
}
