// Where sampling starts: from noise, from a noisy picture, or from one that keeps a part of itself.

import { linear } from '../sampler/walk.ts';

/** What sampling starts with. */
export interface Start {
  /** Latent at the noise level `sigmas[0]`. */
  readonly latent: Float32Array;
  /** Noise levels still to go, the last 0; 0 alone where nothing is to be sampled. */
  readonly sigmas: Float64Array;
  /** Puts what must stay back into a latent, at a noise level. Undefined where all is drawn. */
  readonly keep?: (latent: Float32Array, sigma: number) => Float32Array;
  /** What the UNet takes beside the latent, `[batch or 1, channels, height, width]`. Undefined where that is nothing. */
  readonly beside?: Float32Array;
}

/**
 * Chooses the start of a run.
 *
 * @param sigmas all noise levels of the schedule.
 * @param noise draws a latent of standard normal noise from the run's generators, and advances them.
 */
export type Begin = (sigmas: Float64Array, noise: () => Float32Array) => Start;

/** What a VAE encoder says of a picture: the normal distribution of its latent. */
export interface Posterior {
  /** `[2 * channels, height, width]`: mean, then logarithm of the variance. */
  readonly moments: Float32Array;
  /** Factor to the latent of the diffusion. */
  readonly scalingFactor: number;
}

/** What the masked part of a picture holds before noise is added: see `InpaintOptions.maskedContent`. */
export type MaskedContent = 'original' | 'fill' | 'noise' | 'nothing';

/** The names in the order in which they are listed to users. */
export const MASKED_CONTENTS: readonly MaskedContent[] = ['original', 'fill', 'noise', 'nothing'];

/** Text alone: pure noise at the first noise level. */
export const fromNoise: Begin = (sigmas, noise) => ({ latent: linear([sigmas[0] as number, noise()]), sigmas });

/**
 * A picture with the noise of the level at which the last steps begin (SDEdit, Meng et al. 2021, arXiv:2108.01073). The
 * generators give the sample of the picture's latent first and its noise then, as in diffusers.
 */
export function fromPicture(posterior: Posterior, strength: number): Begin {
  return (sigmas, noise) => {
    const rest = lastSteps(sigmas, strength);
    const picture = sample(posterior, noise());
    return { latent: linear([1, picture], [rest[0] as number, noise()]), sigmas: rest };
  };
}

/**
 * A picture of which a part is drawn, and the rest stays: before each evaluation the rest is the picture with the noise that
 * was drawn at the start, at the level of the evaluation (the rule of diffusers' inpainting with ordinary models, for every
 * sampler), and after each it is the picture itself. At a strength of 1 the whole latent starts as pure noise.
 *
 * @param mask `[height, width]`: 1 for each latent cell that is drawn, 0 for each that stays.
 * @param content what the drawn part holds before noise is added; `fill` is done to the picture.
 */
export function fromMaskedPicture(
  posterior: Posterior,
  strength: number,
  mask: Uint8Array,
  content: MaskedContent,
): Begin {
  return (sigmas, noise) => {
    const rest = lastSteps(sigmas, strength);
    const picture = sample(posterior, noise());
    const added = noise();
    // diffusers samples the latent of the masked picture here, which only models for inpainting read.
    noise();
    const isDrawn = isDrawnBy(mask);
    const keep = (latent: Float32Array, sigma: number) =>
      latent.map((value, i) => (isDrawn(i) ? value : (picture[i] as number) + sigma * (added[i] as number)));
    const first = rest[0] as number;
    if (strength === 1) return { latent: linear([first, added]), sigmas: rest, keep };
    return { latent: linear([1, heldIn(picture, mask, content, noise)], [first, added]), sigmas: rest, keep };
  };
}

/**
 * The same for models for inpainting, which see the mask and the masked picture beside the latent and draw around what they
 * see: nothing is put back (Rombach et al. 2022, section 4.5). The generators give the sample of the picture's latent, its
 * noise, and the sample of the masked picture's latent, as in diffusers.
 *
 * @param posterior undefined at a strength of 1, where the whole latent starts as pure noise.
 * @param masked the picture with what is drawn in gray.
 */
export function besideMaskedPicture(
  posterior: Posterior | undefined,
  strength: number,
  mask: Uint8Array,
  content: MaskedContent,
  masked: Posterior,
): Begin {
  return (sigmas, noise) => {
    const rest = lastSteps(sigmas, strength);
    const first = rest[0] as number;
    const picture = posterior && sample(posterior, noise());
    const added = noise();
    const beside = maskAndPicture(mask, sample(masked, noise()), masked.moments.length / 2);
    const latent = picture
      ? linear([1, heldIn(picture, mask, content, noise)], [first, added])
      : linear([first, added]);
    return { latent, sigmas: rest, beside };
  };
}

/** Another start, with what the UNet takes beside the latent: `[1, channels, height, width]`. */
export function withBeside(begin: Begin, beside: Float32Array): Begin {
  return (sigmas, noise) => ({ ...begin(sigmas, noise), beside });
}

/** The mean of a picture's latent, without the factor to the latent of the diffusion: what editing models were trained with. */
export function meanLatent({ moments }: Posterior): Float32Array {
  return moments.slice(0, moments.length / 2);
}

function isDrawnBy(mask: Uint8Array): (i: number) => boolean {
  return (i) => mask[i % mask.length] === 1;
}

/** What a picture holds before noise is added: its masked part is as `content` says. */
function heldIn(
  picture: Float32Array,
  mask: Uint8Array,
  content: MaskedContent,
  noise: () => Float32Array,
): Float32Array {
  if (content === 'original' || content === 'fill') return picture;
  const other = content === 'noise' ? noise() : new Float32Array(picture.length);
  const isDrawn = isDrawnBy(mask);
  return picture.map((value, i) => (isDrawn(i) ? (other[i] as number) : value));
}

/** Puts the mask before each of several latents of a length. */
function maskAndPicture(mask: Uint8Array, latents: Float32Array, length: number): Float32Array {
  const pictures = latents.length / length;
  const both = new Float32Array(pictures * (mask.length + length));
  for (let i = 0; i < pictures; i++) {
    both.set(mask, i * (mask.length + length));
    both.set(latents.subarray(i * length, (i + 1) * length), i * (mask.length + length) + mask.length);
  }
  return both;
}

/** The noise levels of the last `floor(steps * strength)` steps, of one at least where the strength is above 0. */
function lastSteps(sigmas: Float64Array, strength: number): Float64Array {
  const total = sigmas.length - 1;
  const steps = strength === 0 ? 0 : Math.max(Math.floor(total * strength), 1);
  return sigmas.subarray(total - steps);
}

/** Variances are cut off as in LDM, before they overflow. */
const LOG_VARIANCE = { min: -30, max: 20 } as const;

/**
 * Samples the latent of a picture once for each picture of a batch.
 *
 * @param noise `[batch, channels, height, width]`
 */
function sample({ moments, scalingFactor }: Posterior, noise: Float32Array): Float32Array {
  const length = moments.length / 2;
  return noise.map((value, i) => {
    const mean = moments[i % length] as number;
    const logVariance = moments[length + (i % length)] as number;
    const deviation = Math.exp(0.5 * Math.min(Math.max(logVariance, LOG_VARIANCE.min), LOG_VARIANCE.max));
    return scalingFactor * (mean + deviation * value);
  });
}
