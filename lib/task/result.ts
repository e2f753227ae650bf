// What a run hands over: its steps, and its result.

import type { EmbeddingReport } from '../embedding/load.ts';
import type { RgbImage } from '../image/rgb-image.ts';
import type { PlannedMemory } from '../memory/plan.ts';
import type { NativeLoraReport } from '../native/contract.ts';

/** One finished sampling step. Its arrays are copies, the caller's to keep. */
export interface GenerationStep {
  /** Counts from 0, through both passes where there are two (`hires`). */
  readonly index: number;
  /** Number of steps of the run, of both passes together. */
  readonly total: number;
  /** Noise level that the step started from. */
  readonly sigma: number;
  /** Latent after the step, `[batchSize, latentChannels, height / 8, width / 8]`; larger in a second pass. */
  readonly latent: Float32Array;
  /**
   * With the option `preview`, what the images look like so far: the denoised latent (with `previewNoisy` the noisy
   * one) through a linear projection, one pixel a latent cell (an eighth of the width and height), or decoded; the
   * images of a batch side by side.
   */
  readonly preview: RgbImage | undefined;
}

/** How long the stages of a run took, in milliseconds. Waiting for earlier runs does not count. */
export interface Timings {
  readonly textEncoding: number;
  /** The VAE encoder; next to nothing where a run starts from no image. */
  readonly imageEncoding: number;
  /** All steps. */
  readonly sampling: number;
  /** Between two passes, with the VAE where an image is enlarged; next to nothing where there is one pass. */
  readonly enlarging: number;
  /** Each step, with the time that `onStep` took. */
  readonly steps: readonly number[];
  readonly decoding: number;
  /** The whole run, with the reading of LoRAs and ControlNets. */
  readonly total: number;
}

/** What a run gives. */
export interface GenerationResult {
  /** `batchSize` images, in the order of their seeds. */
  readonly images: readonly RgbImage[];
  /** Seed of the first image, above 2^53 - 1 a bigint; that of image i is `seed + i`. */
  readonly seed: number | bigint;
  /** Number of steps that were taken, if {@link Run.finish} left some out. */
  readonly finishedAfter?: number | undefined;
  readonly timings: Timings;
  /** The LoRAs that were applied: how many of their tensors changed the model, of how many in the file. */
  readonly loras: readonly NativeLoraReport[];
  /** The embeddings that the prompts name. */
  readonly embeddings: readonly EmbeddingReport[];
  /** How the run kept within the budget of memory; undefined without one. */
  readonly memory?: PlannedMemory | undefined;
  /** The warnings of the run, each once. The model's logger received them too. */
  readonly warnings: readonly string[];
}
