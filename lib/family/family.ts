// Model families: everything in TypeScript that differs between Stable Diffusion 1, 2, XL, Z-Image and others.

import type { TextSystem } from '../conditioning/text-system.ts';
import type { Guided } from '../guidance/index.ts';
import type { Size } from '../image/resize.ts';
import type { LoadedModelInfo } from '../native/contract.ts';
import type { NoiseModel } from '../noise-model/index.ts';
import type { SamplerName } from '../sampler/index.ts';
import type { SchedulerName } from '../schedule/index.ts';

/**
 * Red, green and blue, -1..1, for one unit of each latent channel: one row per channel, and a last row for a latent of
 * 0.
 */
export type Projection = readonly (readonly number[])[];

/** The latents of a family. Diffusion latents are `z = scale (mean - shift)` of the VAE's mean. */
export interface LatentFormat {
  readonly scale: number;
  readonly shift: number;
  /** Maps latents to colors, for previews. */
  readonly projection: Projection;
}

/** An option that only some families are conditioned on. */
export type FamilyOption = 'originalSize' | 'cropTopLeft' | 'targetSize' | 'aestheticScore' | 'negativeAestheticScore';

/** Sizes, corners and scores that some families are conditioned on; in pixels, scores from 0 to 10. */
export interface SizeConditioning {
  readonly originalSize: Size | undefined;
  readonly cropTopLeft: { readonly top: number; readonly left: number };
  readonly targetSize: Size | undefined;
  readonly aestheticScore: number;
  readonly negativeAestheticScore: number;
}

/** A family of models. */
export interface Family {
  /** The start of `info.family`; a task may follow, as in `sd1-inpaint`. */
  readonly name: string;
  readonly latent: LatentFormat;
  /** Side in pixels of the images that the published models were trained on. */
  side(info: LoadedModelInfo): number;
  /** Defaults. */
  readonly steps: number;
  readonly cfgScale: number;
  /** Default `euler_a`. */
  readonly sampler?: SamplerName;
  /** Schedule of the samplers that have none of their own. Default: what the scheduler's configuration asks for. */
  readonly scheduler?: SchedulerName;
  /** The noise that a model was trained with. */
  noise(info: LoadedModelInfo): NoiseModel;
  readonly text: TextSystem;
  /** The options that apply to it, of those that apply to only some families. */
  readonly options: readonly FamilyOption[];
  /**
   * The values after the pooled output in the UNet's vector conditioning, each embedded separately.
   *
   * @param size of the image that is generated.
   */
  vector?(options: SizeConditioning, size: Size): Guided<readonly number[]>;
  /** Embeds the guidance scale for a denoiser that takes it as an input of this size. */
  embedGuidance?(scale: number, size: number): Float32Array;
}
