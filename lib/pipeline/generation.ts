// The stages that all tasks share: text encoding, initial latents, sampling, decoding.

import { performance } from 'node:perf_hooks';
import { type Control, openControls, type View } from '../control/controls.ts';
import { linear } from '../core/arrays.ts';
import { PACKAGE_VERSION } from '../core/version.ts';
import type { Family } from '../family/index.ts';
import type { ControlParameters, GenerationParameters, OptionParameters } from '../image/generation-parameters.ts';
import type { Pixels } from '../image/pixels.ts';
import type { Size } from '../image/resize.ts';
import { RgbImage, toRgbBytes } from '../image/rgb-image.ts';
import { withholdContents } from '../lora/withhold.ts';
import { formatParameters } from '../metadata/parameters.ts';
import type { Networks, Shape } from '../native/networks.ts';
import type { NoiseModel } from '../noise-model/index.ts';
import type { SamplerStep } from '../sampler/index.ts';
import type { CheckedGenerationOptions } from '../task/check.ts';
import type { CheckedHires } from '../task/hires-upscalers.ts';
import { parametersOf as optionParameters } from '../task/parameters.ts';
import type { GenerationResult, GenerationStep, Timings } from '../task/result.ts';
import { encodePrompts } from './conditioning.ts';
import { EarlyEnd, type Sampled } from './early-end.ts';
import { enlargeLatents, fromLatents, secondOptions, secondSteps } from './hires.ts';
import type { MakeInitialLatents } from './initial-latents.ts';
import { decodeLatents } from './latents.ts';
import { createPreview } from './preview.ts';
import type { Prompts } from './prompts.ts';
import { sampleLatents } from './sampling.ts';

/** What the stages need to know of a model besides its networks. */
export interface PipelineModel {
  readonly family: Family;
  readonly noiseModel: NoiseModel;
  readonly name: string;
}

/** What differs between tasks. */
export interface Task {
  /** The generated size, in pixels. */
  readonly size: Size;
  /** The region of the full image that is generated, if not all of it: control images are cropped to it too. */
  readonly part?: View['part'];
  /** Creates the initial latents; uses the VAE if they come from an image. */
  initialLatents(networks: Networks): Promise<MakeInitialLatents>;
  /** Postprocesses each generated RGB image. */
  readonly finish?: (generated: Pixels) => Promise<Pixels>;
  /** A second, larger pass over the result of the first. */
  readonly hires?: CheckedHires | undefined;
  /** Generation parameters that only this task has. */
  readonly parameters?: Partial<GenerationParameters>;
}

/** What a second pass has of its own: prompts for its steps, controls of its size. */
export interface SecondPass {
  readonly prompts: Prompts;
  readonly controls: readonly Control[];
}

/** Whoever started a run. */
export interface Caller {
  /** Receives each finished step. */
  emit(step: GenerationStep): void;
  /** Asks for an early end with the image so far. */
  readonly finishing: AbortSignal;
}

/**
 * Generates the images of one call.
 *
 * @param prompts the prompts of `options`, ready for the text encoders.
 * @param controls the control images.
 * @param second if the task has a second pass.
 */
export async function generate(
  networks: Networks,
  model: PipelineModel,
  options: CheckedGenerationOptions,
  prompts: Prompts,
  task: Task,
  controls: readonly Control[],
  second: SecondPass | undefined,
  caller: Caller,
): Promise<Omit<GenerationResult, 'warnings'>> {
  const { hires } = task;
  const { embeddings } = prompts.texts;
  const clock = new Clock();
  const loras = await withholdContents(prompts.loras, () => networks.setLoras(prompts.loras, options.strictLoras));
  const after = hires ? secondSteps(options, hires) : 0;
  const first: Pass = { options, size: task.size, prompts, controls, before: 0, after };
  let { latent, early } = await generatePass(networks, model, first, (one) => task.initialLatents(one), clock, caller);
  let size = task.size;
  const isTwice = hires && second && !caller.finishing.aborted;
  if (isTwice) {
    const shape = latentShape(networks.info, options, size);
    const large = await clock.time('enlarging', () => enlargeLatents(networks, latent, shape, hires));
    const before = clock.steps;
    const own = { options: secondOptions(options, hires), size: hires.size, before, after: 0, soFar: large };
    const initialLatents = async () => fromLatents(large, after);
    ({ latent, early } = await generatePass(networks, model, { ...second, ...own }, initialLatents, clock, caller));
    size = hires.size;
  }
  const finishedAfter = early || (hires && !isTwice) ? { finishedAfter: clock.steps } : {};
  const parameters = (i: number): GenerationParameters => ({
    ...parametersOf(isTwice ? options : { ...options, hires: undefined }, task, model, i),
    ...finishedAfter,
    ...(loras.length > 0 ? { loras } : {}),
    ...(embeddings.length > 0 ? { embeddings } : {}),
    ...(controls.length > 0 ? { controls: controls.map(describeControl) } : {}),
  });
  const shape = latentShape(networks.info, options, size);
  const images = await clock.time('decoding', () => decodeImages(networks, latent, shape, size, task, parameters));
  return { images, seed: options.seed, ...finishedAfter, timings: clock.timings(), loras, embeddings };
}

/** One pass over the noise levels. */
interface Pass extends SecondPass {
  readonly options: CheckedGenerationOptions;
  /** In pixels. */
  readonly size: Size;
  /** Steps of the other passes. */
  readonly before: number;
  readonly after: number;
  /** The image that there is before the first step. */
  readonly soFar?: Float32Array;
}

function latentShape(
  { vaeScaleFactor: factor, latentChannels }: Networks['info'],
  { batchSize }: CheckedGenerationOptions,
  { width, height }: Size,
): Shape {
  return [batchSize, latentChannels, height / factor, width / factor];
}

async function generatePass(
  networks: Networks,
  model: PipelineModel,
  { options, size, prompts, controls, before, after, soFar }: Pass,
  initialLatents: (networks: Networks) => Promise<MakeInitialLatents>,
  clock: Clock,
  { emit, finishing }: Caller,
): Promise<Sampled> {
  const shape = latentShape(networks.info, options, size);
  const preview = options.preview ? createPreview(options.preview, networks, model.family, shape) : undefined;
  const controlsAt = await openControls(networks, controls);
  const conditions = await clock.time('textEncoding', () =>
    encodePrompts(networks, model.family, prompts, options, size),
  );
  const makeInitialLatents = await clock.time('imageEncoding', () => initialLatents(networks));
  const onStep = async (step: SamplerStep, reached: number) => {
    const shown = options.previewNoisy
      ? linear([1 / Math.hypot(model.noiseModel.alpha(reached), reached), step.latent])
      : step.denoised;
    const generationStep = {
      index: before + step.index,
      total: before + step.total + after,
      sigma: step.sigma,
      latent: step.latent.slice(),
      preview: await preview?.(shown),
    };
    emit(generationStep);
    await options.onStep?.(generationStep);
    clock.step();
  };
  const { noiseModel } = model;
  const end = new EarlyEnd(networks.signal, finishing, soFar);
  return clock.time('sampling', () =>
    sampleLatents(networks, noiseModel, options, shape, conditions, makeInitialLatents, controlsAt, onStep, end),
  );
}

type Stage = 'textEncoding' | 'imageEncoding' | 'sampling' | 'enlarging' | 'decoding';

/** Measures the timings of a run. */
class Clock {
  readonly #started = performance.now();
  readonly #stages: Record<Stage, number> = {
    ...{ textEncoding: 0, imageEncoding: 0, sampling: 0, enlarging: 0, decoding: 0 },
  };
  readonly #steps: number[] = [];
  #last = 0;

  async time<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    this.#last = start;
    const result = await work();
    this.#stages[stage] += performance.now() - start;
    return result;
  }

  step(): void {
    const now = performance.now();
    this.#steps.push(now - this.#last);
    this.#last = now;
  }

  /** Number of steps so far. */
  get steps(): number {
    return this.#steps.length;
  }

  timings(): Timings {
    return { ...this.#stages, steps: this.#steps, total: performance.now() - this.#started };
  }
}

function describeControl({ model, preprocessor, strength, start, end }: Control): ControlParameters {
  return { model, preprocessor, strength, start, end };
}

/** Decodes one image after the other: the VAE takes far more memory than the UNet. */
async function decodeImages(
  networks: Networks,
  latents: Float32Array,
  [batch, channels, height, width]: Shape,
  size: Size,
  { finish }: Task,
  parameters: (index: number) => GenerationParameters,
): Promise<RgbImage[]> {
  const length = channels * height * width;
  const images: RgbImage[] = [];
  for (let i = 0; i < batch; i++) {
    const planes = await decodeLatents(networks, latents.subarray(i * length, (i + 1) * length), [
      1,
      channels,
      height,
      width,
    ]);
    const generated: Pixels = { ...size, channels: 3, data: await toRgbBytes(planes) };
    const finished = finish ? await finish(generated) : generated;
    const own = parameters(i);
    images.push(new RgbImage(finished.data, finished.width, finished.height, own, formatParameters(own)));
  }
  return images;
}

function parametersOf(
  options: CheckedGenerationOptions,
  task: Task,
  model: PipelineModel,
  index: number,
): GenerationParameters {
  const { prompt, negativePrompt } = options;
  return {
    ...{ prompt: prompt.raw, negativePrompt: negativePrompt.raw },
    ...(optionParameters(options, index) as OptionParameters & Omit<GenerationParameters, keyof OptionParameters>),
    ...task.size,
    model: model.name,
    version: `node-diffusion ${PACKAGE_VERSION}`,
  };
}
