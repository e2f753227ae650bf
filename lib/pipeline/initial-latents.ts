// Where sampling starts: from noise, from a noisy image, or from one that keeps a part of itself.

import { linear } from '../core/arrays.ts';
import type { NoiseModel } from '../noise-model/index.ts';
import type { Convention, MaskedContent } from '../task/image-rows.ts';
import { type Posterior, sampleLatent } from './latents.ts';

/** What sampling starts with. */
export interface InitialLatents {
  /** Latent at the noise level `sigmas[0]`. */
  readonly latent: Float32Array;
  /** Noise levels still to go, the last 0; 0 alone where nothing is to be sampled. */
  readonly sigmas: Float64Array;
  /** The part of the latent that stays. Undefined if all is regenerated. */
  readonly keep?: Keep;
  /** What the UNet takes in addition to the latent, `[batch or 1, channels, height, width]`. Undefined where that is nothing. */
  readonly concatChannels?: Float32Array;
}

/** Puts what must stay back into latents. */
export interface Keep {
  /** Into a denoised latent, after each evaluation and at the end. */
  clean(denoised: Float32Array): Float32Array;
  /** Into the latent that an evaluation is given, at its noise level. Undefined where the sampler's own latent is right. */
  readonly noisy?: (latent: Float32Array, sigma: number) => Float32Array;
}

/** The random numbers of a run. */
export interface Draws {
  /** The next latents of standard normal noise, one for each image, from the generators of their seeds. */
  next(): Float32Array;
  /** The same from other generators of the same seeds, which begin with their first numbers. */
  anew(): () => Float32Array;
}

/**
 * Chooses the start of a run.
 *
 * @param sigmas all noise levels of the schedule.
 * @param noiseModel how noise is added.
 */
export type MakeInitialLatents = (sigmas: Float64Array, draws: Draws, noiseModel: NoiseModel) => InitialLatents;

/** What a start from an image and its strength are, by convention. */
interface Rules {
  /** Where the samples of images' latents take their numbers from. */
  forImages(draws: Draws): () => Float32Array;
  /** How many of `total` steps a strength above 0 takes: the last ones. */
  stepsTaken(total: number, strength: number): number;
}

const RULES: Readonly<Record<Convention, Rules>> = {
  // The seed's first numbers are the noise; those of an image's sample are the same ones again, as in stable-diffusion.cpp
  // (AUTOMATIC1111 and ComfyUI take some that no seed gives).
  webui: {
    forImages: (draws) => draws.anew(),
    stepsTaken: (total, strength) => Math.min(Math.floor(total * strength) + 1, total),
  },
  diffusers: {
    forImages: (draws) => draws.next,
    stepsTaken: (total, strength) => Math.max(Math.floor(total * strength), 1),
  },
};

/** Text alone: pure noise at the first noise level. */
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

/** An image with the noise of the level at which the last steps begin (SDEdit, Meng et al. 2021, arXiv:2108.01073). */
export function fromImage(posterior: Posterior, strength: number, convention: Convention): MakeInitialLatents {
  return (sigmas, draws, noiseModel) => {
    const rest = lastSteps(sigmas, strength, convention);
    const image = sampleLatent(posterior, RULES[convention].forImages(draws)());
    return noisyImage(rest, image, draws.next(), noiseModel);
  };
}

/** An image and which part of it is regenerated. */
export interface MaskedStart {
  readonly strength: number;
  readonly convention: Convention;
  /** `[height, width]`: 1 for each latent cell that is regenerated, 0 for each that stays. */
  readonly mask: Uint8Array;
  /** Cells in a row. */
  readonly width: number;
  /** What the masked part holds before noise is added; `fill` is done to the image. */
  readonly content: MaskedContent;
}

/**
 * An image of which a part is regenerated and the rest stays: the prediction for the rest is replaced by the image's latent.
 * diffusers also replaces the rest of what it is given, by the image with the noise that was drawn at the start at its level,
 * and starts from pure noise at a strength of 1.
 */
export function fromMaskedImage(posterior: Posterior, start: MaskedStart): MakeInitialLatents {
  const { strength, convention, mask } = start;
  return (sigmas, draws, noiseModel) => {
    const rest = lastSteps(sigmas, strength, convention);
    const image = sampleLatent(posterior, RULES[convention].forImages(draws)());
    const noise = draws.next();
    const clean = (denoised: Float32Array) => composed(denoised, image, mask);
    if (convention === 'webui')
      return { ...noisyImage(rest, heldIn(image, start, draws), noise, noiseModel), keep: { clean } };
    // diffusers samples the latent of the masked image here, which only models for inpainting read.
    draws.next();
    const noisy = (latent: Float32Array, sigma: number) =>
      composed(latent, noiseModel.addNoise(image, noise, sigma), mask);
    const begun =
      strength === 1 ? pureNoise(rest, noise) : noisyImage(rest, heldIn(image, start, draws), noise, noiseModel);
    return { ...begun, keep: { clean, noisy } };
  };
}

/**
 * The same for models for inpainting, which see the mask and the masked image in addition to the latent and paint around what they
 * see (Rombach et al. 2022, section 4.5). What lies further than a cell from the mask is kept as well, but not in diffusers.
 *
 * @param posterior undefined where the start is pure noise: from text alone, and in diffusers at a strength of 1.
 * @param masked the image with the masked part in gray.
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
    const begun = { ...noisyImage(rest, heldIn(image, start, draws), noise, noiseModel), concatChannels };
    if (convention === 'diffusers') return begun;
    const kept = widened(mask, width);
    return { ...begun, keep: { clean: (denoised) => composed(denoised, image, kept) } };
  };
}

/** Another start, with what the UNet takes in addition to the latent: `[1, channels, height, width]`. */
export function withConcatChannels(begin: MakeInitialLatents, concatChannels: Float32Array): MakeInitialLatents {
  return (sigmas, draws, noiseModel) => ({ ...begin(sigmas, draws, noiseModel), concatChannels });
}

function isDrawnBy(mask: Uint8Array): (i: number) => boolean {
  return (i) => mask[i % mask.length] === 1;
}

/** One latent where cells are regenerated, another where they stay. */
function composed(drawn: Float32Array, staying: Float32Array, mask: Uint8Array): Float32Array {
  const isDrawn = isDrawnBy(mask);
  return drawn.map((value, i) => (isDrawn(i) ? value : (staying[i] as number)));
}

/** What an image holds before noise is added: its masked part is as `content` says. */
function heldIn(image: Float32Array, { content, mask, convention }: MaskedStart, draws: Draws): Float32Array {
  if (content === 'original' || content === 'fill') return image;
  if (content === 'nothing') return composed(new Float32Array(image.length), image, mask);
  return composed(convention === 'webui' ? draws.anew()() : draws.next(), image, mask);
}

/** A mask widened by the cells around it, as stable-diffusion.cpp widens that of models for inpainting. */
function widened(mask: Uint8Array, width: number): Uint8Array {
  const height = mask.length / width;
  const wide = new Uint8Array(mask.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, height - 1); row++) {
        const from = row * width;
        if (mask.subarray(from + Math.max(x - 1, 0), from + Math.min(x + 2, width)).includes(1))
          wide[y * width + x] = 1;
      }
    }
  }
  return wide;
}

/** Puts the mask before each of several latents of a length. */
function maskAndImage(mask: Uint8Array, latents: Float32Array, length: number): Float32Array {
  const images = latents.length / length;
  const both = new Float32Array(images * (mask.length + length));
  for (let i = 0; i < images; i++) {
    both.set(mask, i * (mask.length + length));
    both.set(latents.subarray(i * length, (i + 1) * length), i * (mask.length + length) + mask.length);
  }
  return both;
}

/** The noise levels of the steps that a strength takes; none for 0. */
function lastSteps(sigmas: Float64Array, strength: number, convention: Convention): Float64Array {
  const total = sigmas.length - 1;
  return sigmas.subarray(total - (strength === 0 ? 0 : RULES[convention].stepsTaken(total, strength)));
}
