// The options that all ways of drawing share: their types, defaults and limits.

import { randomInt } from 'node:crypto';
import { type CheckedControl, type ControlOptions, checkControls } from '../control/options.ts';
import { describe } from '../core/errors.ts';
import { type CheckedEmbeddings, checkEmbeddings, type EmbeddingOption } from '../embedding/options.ts';
import { checkMaxPixels, type ImageLimits } from '../image/limits.ts';
import type { Size } from '../image/resize.ts';
import { type CheckedLoras, checkLoras, type LoraOption, type LoraTags } from '../lora/options.ts';
import { hasLoraTag, readLoraTags } from '../lora/tags.ts';
import type { NativeTileable } from '../native/contract.ts';
import { type OptionCheck, within } from '../options/check.ts';
import { RNG_NAMES, type RngName } from '../rng/index.ts';
import { asSeed, SEEDS } from '../rng/seed.ts';
import type { Sampler, SamplerName } from '../sampler/index.ts';
import type { SchedulerName } from '../schedule/index.ts';
import { parseAttention } from '../text/attention.ts';
import { schedulePrompt } from '../text/editing.ts';
import { checkSampler, checkScheduler, type OtherName } from './method-options.ts';
import { PREVIEW_KINDS, type PreviewKind } from './preview.ts';
import type { GenerationStep } from './result.ts';

/** Options of every call that draws. */
export interface GenerationOptions extends ImageLimits {
  /**
   * What to draw. `(word:1.3)`, `((word))` and `[word]` weigh words as in AUTOMATIC1111's web UI, `\(` escapes, `BREAK` starts a
   * new chunk of 75 tokens, and so does running over one. At most 65,536 characters and 64 chunks; may be empty.
   * `[from:to:when]` is `from` at first and `to` after a share of the steps (`0.5`) or after a number of them (`5`), `[to:when]` and
   * `[from::when]` have nothing before or after; `[a|b]` takes turns step by step. Steps are counted as in the web UI: those
   * that are taken, from 0, so that the first text holds for one more; samplers that evaluate twice a step count twice; shares
   * are of `steps`, whatever `strength` is.
   * `AND` composes nothing, as it does in the web UI, and is a word like others; a warning says so.
   * `<lora:name:0.8>` stands for an entry of `loras`, wherever it is, and is no part of the text; without a number the weight
   * is 1. `<lora:name:te=0.5:unet=0.8>`, or in that order `<lora:name:0.5:0.8>`, has one for the text encoders and one for the UNet;
   * `<lyco:...>` is the same, `<hypernet:...>` an error. A name is that of a file in `loraDirectory`, with or without its extension.
   */
  prompt: string;
  /** What to stay away from, written like `prompt`. Default `''`. Has no effect at a `cfgScale` of 1. */
  negativePrompt?: string | undefined;
  /**
   * LoRAs to apply, in addition to those that the prompt names; at most 64. Default none. The model's file stays as it is, and
   * calls with the same LoRAs share the work of applying them.
   */
  loras?: readonly LoraOption[] | undefined;
  /** Images that ControlNets lead the drawing by, at most 8 together. Default none. */
  controls?: readonly ControlOptions[] | undefined;
  /** Folder of the LoRAs that are given by name, those in subfolders as `folder/name`. Default: none; a prompt can then name none. */
  loraDirectory?: string | undefined;
  /**
   * What the prompt may name: `names` (default) of files that lie in `loraDirectory` after links are followed, and errors then say nothing of
   * what a file holds; or any `paths` too, for prompts of someone who may read every file of this process. The same holds for links in
   * `embeddingDirectory` that lead out of it.
   */
  loraTags?: LoraTags | undefined;
  /** Whether a LoRA with tensors that are not applied is an error (`ERR_MODEL_MISMATCH`) and no warning. Default false. */
  strictLoras?: boolean | undefined;
  /**
   * Embeddings of textual inversion, each with the word that stands for it in both prompts; at most 256. Default none. A word is
   * found in any case where no letter or digit touches it, and takes the weight that it has in the prompt. The words that a file holds
   * stand for their vectors too; a file of several words can be used by these alone.
   */
  embeddings?: readonly EmbeddingOption[] | undefined;
  /**
   * Folder of embeddings: the name of each file, without its extension, is such a word, and so are the words that diffusers saves in it.
   * Default none.
   */
  embeddingDirectory?: string | undefined;
  /** Sampling steps, 1 to 1000. Default 20. Custom sigmas bring their own number. */
  steps?: number | undefined;
  /**
   * Guidance scale (Ho and Salimans 2022): 1 is no guidance and costs one network pass a step instead of two, more follows
   * the prompt more closely. Finite, at least 0. Default 7.
   */
  cfgScale?: number | undefined;
  /**
   * How much of the contrast that guidance adds is taken back, 0 (default, nothing) to 1: the guided prediction is brought
   * towards the standard deviation of that for the prompt alone (Lin et al. 2023; `guidance_rescale` of diffusers). 0.7 is what
   * its authors use for v-prediction.
   */
  cfgRescale?: number | undefined;
  /**
   * Scale of perturbed-attention guidance (Ahn et al. 2024): away from what the UNet predicts when each pixel of its middle block
   * attends to itself alone. Costs one more pass a step. Finite, at least 0; default 0, none; 3 is a usual value.
   */
  pagScale?: number | undefined;
  /**
   * The part of the steps that are guided, as shares of those that are taken: from `floor(start x steps)` up to before
   * `floor(end x steps)`. Outside of it the prompt alone counts, without `cfgScale`, `cfgRescale` and `pagScale`, and a step costs one pass
   * (Kynkäänniemi et al. 2024). Default `[0, 1]`.
   */
  guidanceInterval?: readonly [start: number, end: number] | undefined;
  /**
   * Seed of the noise, 0 to 2^64 - 1, above 2^53 - 1 a bigint; image i of a batch uses `seed + i`. -1 (default) draws one below
   * 2^32.
   */
  seed?: number | bigint | undefined;
  /**
   * Name of a sampler, or a function. Default `euler_a`. The names of AUTOMATIC1111's web UI, ComfyUI, diffusers, InvokeAI and
   * stable-diffusion.cpp are understood where they mean the same method, in any case and with spaces, `_` or `-`: `Euler a`,
   * `dpmpp_2m`, `EulerDiscreteScheduler`. One that says the schedule too, `DPM++ 2M Karras`, allows no other `scheduler`.
   */
  sampler?: SamplerName | OtherName | Sampler | undefined;
  /**
   * Name of a schedule, or the noise levels themselves: falling, the last 0. Default: the sampler's own, or the
   * model's (`info.defaultScheduler`, mostly `discrete`). The names of those programs are understood likewise; `Automatic` is what
   * the web UI takes with the sampler, `karras` with `dpm++2m`.
   */
  scheduler?: SchedulerName | OtherName | ArrayLike<number> | undefined;
  /** Share of noise that a stochastic sampler puts back after each step, 0 to 1. Default: that of its method. */
  eta?: number | undefined;
  /** Images drawn together in one batch, 1 to 64. Default 1. */
  batchSize?: number | undefined;
  /**
   * Layer of the text encoder whose output is used: 1 is the last, 2 the one before, up to the number of layers. Default: the one
   * that the model was trained with, 1 for SD 1.x and 2 for SD 2.x and XL (1 for SD 2.x saved by diffusers, which leaves the
   * last layer out).
   */
  clipSkip?: number | undefined;
  /**
   * SDXL: size in pixels of the image that the result is to look cropped from; small ones look blurred. Default: the size that
   * is drawn. Each side 0 to 2^20. This and the four below are errors with models that are not told of it.
   */
  originalSize?: Size | undefined;
  /** SDXL: where the crop's upper left corner lies in that image, in pixels. Default `{ top: 0, left: 0 }`. */
  cropTopLeft?: Corner | undefined;
  /** SDXL base: size of the crop that the result is to look like. Default: the size that is drawn. */
  targetSize?: Size | undefined;
  /** SDXL refiner: how beautiful the result is to be on a scale from 0 to 10. Default 6. */
  aestheticScore?: number | undefined;
  /** The same for the negative prompt. Default 2.5. */
  negativeAestheticScore?: number | undefined;
  /** Which generator of torch the noise reproduces: that of a GPU (`cuda`, default) or of the CPU (`cpu`). */
  rng?: RngName | undefined;
  /**
   * Whether the image can be laid beside itself without a seam: along both sides (true), side by side (`x`) or one above the other
   * (`y`). Convolutions then see the other side where the image ends. Default false.
   */
  tileable?: boolean | 'x' | 'y' | undefined;
  /** Cancels the run, at any moment: it rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
  /** Called after each step and awaited. What it throws ends the run. */
  onStep?: ((step: GenerationStep) => void | Promise<void>) | undefined;
  /**
   * Whether steps carry a preview image: `proj` (or true) a small one by a linear projection, which costs nothing; `tae` one of the
   * whole size by the tiny autoencoder that the model was loaded with ({@link ModelSource}), `vae` one by that which decodes the
   * result. Default false.
   */
  preview?: boolean | PreviewKind | undefined;
  /**
   * Whether previews show the latent with the noise that it has after the step, scaled to unit variance, instead of what the
   * network takes the image to be. Default false.
   */
  previewNoisy?: boolean | undefined;
}

/** An upper left corner in pixels. */
export interface Corner {
  readonly top: number;
  readonly left: number;
}

/** What the options of a call may be, with one model. */
export interface ModelLimits {
  /** Sides are multiples of this many pixels. */
  readonly vaeScaleFactor: number;
  /** Layers of the text encoder, of the one with fewer where there are two. */
  readonly textLayers: number;
  /** Default layer. */
  readonly clipSkip: number;
  /** Whether there is a tiny autoencoder. */
  readonly tinyAutoencoder: boolean;
  /** Schedule of the samplers that have none of their own. */
  readonly defaultScheduler: SchedulerName;
  /** Default size in pixels. */
  readonly width: number;
  readonly height: number;
  /** Default number of steps and guidance scale. */
  readonly steps: number;
  readonly cfgScale: number;
}

/** The limits that hold for every model, to check options before one is loaded. */
export const ANY_MODEL: ModelLimits = {
  vaeScaleFactor: 1,
  textLayers: Number.MAX_VALUE,
  clipSkip: 1,
  tinyAutoencoder: true,
  defaultScheduler: 'discrete',
  width: 512,
  height: 512,
  steps: 20,
  cfgScale: 7,
};

/** The options of one call with every default filled in, known to be right. */
export interface CheckedGenerationOptions extends CheckedEmbeddings, CheckedLoras {
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly controls: readonly CheckedControl[];
  readonly maxPixels: number;
  readonly steps: number;
  readonly cfgScale: number;
  /** Of edits alone. */
  readonly imageCfgScale?: number;
  readonly cfgRescale: number;
  readonly pagScale: number;
  readonly guidanceInterval: readonly [start: number, end: number];
  readonly seed: number | bigint;
  readonly sampler: Sampler;
  readonly samplerName: string;
  /** Evaluations of the network in a step, but for the last; 1 for a sampler of the user's. */
  readonly evaluationsPerStep: number;
  /** A name, or the user's own sigmas. */
  readonly scheduler: SchedulerName | Float64Array;
  readonly eta: number | undefined;
  readonly batchSize: number;
  readonly clipSkip: number;
  readonly originalSize: Size | undefined;
  readonly cropTopLeft: Corner;
  readonly targetSize: Size | undefined;
  readonly aestheticScore: number;
  readonly negativeAestheticScore: number;
  readonly rng: RngName;
  readonly signal: AbortSignal | undefined;
  readonly onStep: GenerationOptions['onStep'];
  readonly tileable: NativeTileable | undefined;
  readonly preview: PreviewKind | undefined;
  readonly previewNoisy: boolean;
}

/** The names of the options. */
export const GENERATION_OPTIONS: readonly (keyof GenerationOptions)[] = [
  'prompt',
  'negativePrompt',
  'loras',
  'controls',
  'maxPixels',
  'loraDirectory',
  'loraTags',
  'strictLoras',
  'embeddings',
  'embeddingDirectory',
  'steps',
  'cfgScale',
  'cfgRescale',
  'pagScale',
  'guidanceInterval',
  'seed',
  'sampler',
  'scheduler',
  'eta',
  'batchSize',
  'clipSkip',
  'originalSize',
  'cropTopLeft',
  'targetSize',
  'aestheticScore',
  'negativeAestheticScore',
  'rng',
  'signal',
  'onStep',
  'tileable',
  'preview',
  'previewNoisy',
];

const MAX_PROMPT_LENGTH = 65_536;
const MAX_STEPS = 1000;
const MAX_BATCH = 64;
/** Largest size or place that SDXL may be told. */
const MAX_DISTANCE = 2 ** 20;
const SCORE = { min: 0, max: 10 } as const;
/** Those that the refiner of SDXL is used with. */
export const DEFAULT_SCORES = { positive: 6, negative: 2.5 } as const;

/**
 * Checks the options that all ways of drawing share; problems stay with `check`.
 *
 * @returns options that are right once `check.done()` has returned.
 */
export function checkGenerationOptions(check: OptionCheck, limits: ModelLimits): CheckedGenerationOptions {
  if (check.value('prompt') === undefined) {
    check.problem({ name: 'prompt', expected: 'a string', received: 'undefined', code: 'ERR_INVALID_ARG_TYPE' });
  }
  const batchSize = check.number('batchSize', 1, { min: 1, max: MAX_BATCH, integer: true });
  const asked = checkSampler(check);
  const { sampler, samplerName, evaluationsPerStep = 1 } = asked;
  const scheduler = checkScheduler(check, asked, limits.defaultScheduler);
  const steps = checkSteps(check, scheduler, limits.steps);
  const maxPixels = checkMaxPixels(check);
  return {
    prompt: checkPrompt(check, 'prompt', steps * evaluationsPerStep),
    negativePrompt: checkNegativePrompt(check, steps * evaluationsPerStep),
    ...checkLoras(check),
    ...checkEmbeddings(check),
    controls: checkControls(check, maxPixels),
    maxPixels,
    steps,
    cfgScale: check.number('cfgScale', limits.cfgScale, { min: 0, max: Number.MAX_VALUE }),
    cfgRescale: check.number('cfgRescale', 0, { min: 0, max: 1 }),
    pagScale: check.number('pagScale', 0, { min: 0, max: Number.MAX_VALUE }),
    guidanceInterval: checkInterval(check, 'guidanceInterval'),
    seed: checkSeed(check, batchSize),
    sampler,
    samplerName,
    evaluationsPerStep,
    scheduler,
    eta: check.value('eta') === undefined ? undefined : check.number('eta', 0, { min: 0, max: 1 }),
    batchSize,
    clipSkip: check.number('clipSkip', limits.clipSkip, { min: 1, max: limits.textLayers, integer: true }),
    originalSize: checkPair(check, 'originalSize', ['width', 'height']),
    cropTopLeft: checkPair(check, 'cropTopLeft', ['top', 'left']) ?? { top: 0, left: 0 },
    targetSize: checkPair(check, 'targetSize', ['width', 'height']),
    aestheticScore: check.number('aestheticScore', DEFAULT_SCORES.positive, SCORE),
    negativeAestheticScore: check.number('negativeAestheticScore', DEFAULT_SCORES.negative, SCORE),
    rng: check.name('rng', 'cuda', RNG_NAMES),
    signal: check.signal(),
    onStep: check.callback<NonNullable<GenerationOptions['onStep']>>('onStep'),
    tileable: checkTileable(check),
    preview: checkPreview(check, limits),
    previewNoisy: check.boolean('previewNoisy', false),
  };
}

function checkTileable(check: OptionCheck): NativeTileable | undefined {
  const value = check.value('tileable');
  if (typeof value === 'string') return check.name<NativeTileable>('tileable', 'x', ['x', 'y']);
  return check.boolean('tileable', false) ? 'xy' : undefined;
}

function checkPreview(check: OptionCheck, { tinyAutoencoder }: ModelLimits): PreviewKind | undefined {
  const value = check.value('preview');
  if (typeof value !== 'string') return check.boolean('preview', false) ? 'proj' : undefined;
  const kind = check.name('preview', 'proj', PREVIEW_KINDS);
  if (kind === 'tae' && !tinyAutoencoder) {
    const remedy = 'Load the model with the option `taesd`, or with a tiny autoencoder as the option `vae`';
    check.problem({
      name: 'preview',
      expected: 'proj, vae or a model with a tiny autoencoder',
      received: "'tae'",
      remedy,
    });
  }
  return kind;
}

/** @param evaluations over which the prompt may change. */
function checkPrompt(check: OptionCheck, name: 'prompt' | 'negativePrompt', evaluations: number): string {
  const prompt = check.string(name, '', MAX_PROMPT_LENGTH);
  check.attempt(() => {
    const stages = schedulePrompt(name === 'prompt' ? readLoraTags(prompt).text : prompt, evaluations, name);
    for (const text of new Set(stages.map((stage) => stage.text))) parseAttention(text, name);
  });
  return prompt;
}

function checkNegativePrompt(check: OptionCheck, evaluations: number): string {
  const prompt = checkPrompt(check, 'negativePrompt', evaluations);
  if (hasLoraTag(prompt)) {
    const remedy = 'A LoRA holds for both prompts: name it in the option `prompt`';
    check.problem({ name: 'negativePrompt', expected: 'a text without <lora:...>', received: 'one with it', remedy });
  }
  return prompt;
}

/** An object of two whole numbers of pixels; undefined where it is not given or wrong. */
function checkPair<Key extends string>(
  check: OptionCheck,
  name: string,
  keys: readonly [Key, Key],
): Readonly<Record<Key, number>> | undefined {
  const value = check.object<Record<Key, unknown>>(name);
  if (value === undefined) return undefined;
  return check.attempt(() => {
    const pair = within(value, name, keys);
    const read = (key: Key) => {
      const whole = `${name}.${key}`;
      if (pair.value(whole) === undefined) {
        pair.problem({ name: whole, expected: 'a number', received: 'undefined', code: 'ERR_INVALID_ARG_TYPE' });
      }
      return pair.number(whole, 0, { min: 0, max: MAX_DISTANCE, integer: true });
    };
    const numbers = Object.fromEntries(keys.map((key) => [key, read(key)])) as Record<Key, number>;
    pair.done();
    return numbers;
  });
}

function checkSteps(check: OptionCheck, scheduler: SchedulerName | Float64Array, usual: number): number {
  const own = typeof scheduler === 'string' ? undefined : scheduler.length - 1;
  const steps = check.number('steps', own ?? usual, { min: 1, max: MAX_STEPS, integer: true });
  if (own === undefined || own === steps) return steps;
  const expected = `${own}, one less than the number of sigmas,`;
  check.problem({ name: 'steps', expected, received: String(steps), remedy: 'Leave it out where sigmas are given' });
  return own;
}

function checkSeed(check: OptionCheck, batchSize: number): number | bigint {
  const value = check.value('seed') ?? -1;
  if (value === -1 || value === -1n) return randomInt(2 ** 32);
  const isNumber = typeof value === 'number';
  const exact = typeof value === 'bigint' || (isNumber && Number.isSafeInteger(value));
  if (exact && value >= 0 && BigInt(value) <= SEEDS - BigInt(batchSize)) return asSeed(BigInt(value));
  const last = batchSize > 1 ? `2^64 - ${batchSize}, so that every image has one` : '2^64 - 1';
  check.problem({
    name: 'seed',
    expected: `-1 or an integer from 0 to ${last}`,
    received: describe(value),
    ...(isNumber && value >= 2 ** 53 && { remedy: 'From 2^53 on it is exact as a bigint alone' }),
    ...(!isNumber && typeof value !== 'bigint' && { code: 'ERR_INVALID_ARG_TYPE' }),
  });
  return 0;
}

/** Two shares of a whole, the first below the second. */
function checkInterval(check: OptionCheck, name: string): readonly [start: number, end: number] {
  const expected = 'an array of two numbers from 0 to 1, the first below the second';
  const pair = check.list(name, expected, 2);
  if (!pair) return [0, 1];
  const [start, end] = pair;
  const isNumbers = typeof start === 'number' && typeof end === 'number';
  if (isNumbers && start >= 0 && start < end && end <= 1) return [start, end];
  const code = isNumbers ? 'ERR_INVALID_ARG_VALUE' : 'ERR_INVALID_ARG_TYPE';
  check.problem({ name, expected, received: isNumbers ? `[${start}, ${end}]` : describe(pair), code });
  return [0, 1];
}
