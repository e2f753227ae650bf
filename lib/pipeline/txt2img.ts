// Text to image: the stages of a call whose options are known to be right.

import type { GenerationParameters } from '../image/parameters.ts';
import { RgbImage, toRgbBytes } from '../image/rgb-image.ts';
import type { PromptChunk } from '../text/chunks.ts';
import { PACKAGE_VERSION } from '../version.ts';
import { encodePrompts, type Guided } from './conditioning.ts';
import type { Networks, Shape } from './networks.ts';
import { createPreview } from './preview.ts';
import { sampleLatents } from './sampling.ts';
import type { CheckedTxt2ImgOptions } from './txt2img-options.ts';

/** One finished sampling step. Its arrays are copies, the caller's to keep. */
export interface GenerationStep {
  /** Counts from 0. */
  readonly index: number;
  /** Number of steps of the run. */
  readonly total: number;
  /** Noise level that the step started from. */
  readonly sigma: number;
  /** Latent after the step, `[batchSize, latentChannels, height / 8, width / 8]`. */
  readonly latent: Float32Array;
  /**
   * With `preview: true`, what the pictures look like so far: the denoised latent through a linear projection, one pixel a
   * latent cell (an eighth of the width and height), the pictures of a batch side by side.
   */
  readonly preview: RgbImage | undefined;
}

/** How long the stages of a run took, in milliseconds. Waiting for earlier runs does not count. */
export interface Timings {
  readonly textEncoding: number;
  /** All steps. */
  readonly sampling: number;
  /** Each step, with the time that `onStep` took. */
  readonly steps: readonly number[];
  readonly decoding: number;
  readonly total: number;
}

/** What a text-to-image run gives. */
export interface Txt2ImgResult {
  /** `batchSize` pictures, in the order of their seeds. */
  readonly images: readonly RgbImage[];
  /** Seed of the first picture; that of picture i is `seed + i`. */
  readonly seed: number;
  readonly timings: Timings;
}

/** What the pipeline must know of a model besides its networks. */
export interface PipelineModel {
  readonly name: string;
  readonly prediction: 'epsilon' | 'v';
}

/**
 * Draws the pictures of one call.
 *
 * @param prompts the prompts of `options` in chunks.
 * @param emit takes each finished step.
 */
export async function txt2img(
  networks: Networks,
  model: PipelineModel,
  options: CheckedTxt2ImgOptions,
  prompts: Guided<readonly PromptChunk[]>,
  emit: (step: GenerationStep) => void,
): Promise<Txt2ImgResult> {
  const { vaeScaleFactor: factor, latentChannels } = networks.info;
  const shape: Shape = [options.batchSize, latentChannels, options.height / factor, options.width / factor];
  const preview = options.preview ? createPreview(networks.info, shape) : undefined;

  const start = performance.now();
  const conditions = await encodePrompts(networks, prompts, options.clipSkip);
  const encoded = performance.now();
  const stepEnds = [encoded];
  const latent = await sampleLatents(networks, model.prediction, options, shape, conditions, async (step) => {
    const { index, total, sigma } = step;
    const generationStep = { index, total, sigma, latent: step.latent.slice(), preview: preview?.(step.denoised) };
    emit(generationStep);
    await options.onStep?.(generationStep);
    stepEnds.push(performance.now());
  });
  const sampled = performance.now();
  const images = await decodeImages(networks, latent, shape, (i) => parametersOf(options, model, i));
  const end = performance.now();
  const timings = {
    textEncoding: encoded - start,
    sampling: sampled - encoded,
    steps: stepEnds.slice(1).map((time, i) => time - (stepEnds[i] as number)),
    decoding: end - sampled,
    total: end - start,
  };
  return { images, seed: options.seed, timings };
}

/** Decodes one picture after the other: the VAE takes far more memory than the UNet. */
async function decodeImages(
  networks: Networks,
  latents: Float32Array,
  [batch, channels, height, width]: Shape,
  parameters: (index: number) => GenerationParameters,
): Promise<RgbImage[]> {
  const length = channels * height * width;
  const images: RgbImage[] = [];
  for (let i = 0; i < batch; i++) {
    const planes = await networks.decode(latents.subarray(i * length, (i + 1) * length), [1, channels, height, width]);
    const made = parameters(i);
    images.push(new RgbImage(await toRgbBytes(planes), made.width, made.height, made));
  }
  return images;
}

function parametersOf(options: CheckedTxt2ImgOptions, model: PipelineModel, index: number): GenerationParameters {
  const { prompt, negativePrompt, steps, cfgScale, width, height, clipSkip, rng, eta, scheduler } = options;
  return {
    ...{ prompt, negativePrompt, steps, cfgScale, width, height, clipSkip, rng, eta },
    sampler: options.samplerName,
    ...(typeof scheduler === 'string' ? { scheduler } : { sigmas: [...scheduler] }),
    seed: options.seed + index,
    model: model.name,
    version: `node-diffusion ${PACKAGE_VERSION}`,
  };
}
