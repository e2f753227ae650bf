// From what an image states to options of a call: names become ours, texts become numbers, and what no call accepts is reported.

import { type ArgumentProblem, describe, isArgumentError } from '../core/errors.ts';
import { toNumber, withoutUndefined } from '../core/values.ts';
import { hasLoraTag } from '../lora/tags.ts';
import { readSeed } from '../rng/seed.ts';
import type { SamplerName } from '../sampler/index.ts';
import { adviceOnName, findSampler, findScheduler, isAutomatic } from '../sampler/names.ts';
import type { SchedulerName } from '../schedule/index.ts';
import { checkOptions } from '../task/check.ts';
import { findHiresUpscaler } from '../task/hires-upscalers.ts';
import type { Txt2ImgOptions } from '../task/options.ts';
import { optionsStated } from '../task/parameters.ts';
import { ANY_MODEL } from '../task/task.ts';
import type { StatedValues, Statement } from './statement.ts';

/** What an image says about how it was made. Fields that it does not state, or that no call takes, are undefined. */
export interface ImageMetadata {
  /** The program that wrote it, as far as it says: `node-diffusion 0.1.0`, `ComfyUI`. */
  readonly software: string | undefined;
  /** The whole text as it stands in the file. */
  readonly raw: string;
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly steps: number | undefined;
  /** In this package's names. */
  readonly sampler: SamplerName | undefined;
  /** Likewise, or the noise levels themselves. */
  readonly scheduler: SchedulerName | readonly number[] | undefined;
  readonly cfgScale: number | undefined;
  /** Exact: above 2^53 - 1 a bigint. */
  readonly seed: number | bigint | undefined;
  readonly width: number | undefined;
  readonly height: number | undefined;
  /** Name of the model's file, as written. */
  readonly model: string | undefined;
  readonly clipSkip: number | undefined;
  readonly rng: 'cuda' | 'cpu' | undefined;
  /** Of images that started from another image, and of the second pass of others. */
  readonly strength: number | undefined;
  /** All of it that `txt2img` takes: `model.txt2img(options)` reproduces the image. */
  readonly options: Txt2ImgOptions;
  /** What it says that is not among `options`, or means something else here; in plain words. */
  readonly warnings: readonly string[];
  /** Every other `key: value` that the text holds, as written. */
  readonly fields: Readonly<Record<string, string>>;
}

/** Names of random generators. `NV` computes on the CPU what `GPU` gives on Nvidia cards. */
const GENERATORS: Readonly<Record<string, 'cuda' | 'cpu'>> = { cuda: 'cuda', nv: 'cuda', gpu: 'cuda', cpu: 'cpu' };

const PROMPTS: readonly string[] = ['prompt', 'negativePrompt'];

export function interpret(statement: Statement): ImageMetadata {
  const { software, raw, prompt, negativePrompt, values, fields } = statement;
  const warnings = [...statement.warnings];
  const { strength, rest } = readStrength(values, warnings);
  if (hasLoraTag(prompt) && fields.Loras === undefined) {
    warnings.push('The prompt names LoRAs, which are found in the folder that the option `loraDirectory` names');
  }
  const options = keepValid({ prompt, negativePrompt, ...optionsOf(rest, warnings) }, warnings);
  const { steps, sampler, scheduler, cfgScale, seed, width, height, clipSkip, rng } = options;
  return {
    software,
    raw,
    prompt,
    negativePrompt,
    ...{ steps, cfgScale, seed, width, height, clipSkip, rng, strength },
    sampler: sampler as SamplerName | undefined,
    scheduler: scheduler as SchedulerName | readonly number[] | undefined,
    model: typeof values.model === 'string' ? values.model : undefined,
    options,
    warnings,
    fields,
  };
}

/** The options of txt2img, whose values are not checked yet. */
function optionsOf(values: StatedValues, warnings: string[]): Record<string, unknown> {
  const { hires } = values;
  return {
    ...methodOf(values, warnings),
    seed: seedOf(values.seed),
    rng: rngOf(values.rng, warnings),
    hires: hires && hiresOf(values, warnings),
    tileable: values.tileable,
    ...optionsStated(values),
    ...toNumbers({
      ...{ steps: values.steps, width: values.width, height: values.height, cfgScale: values.cfgScale },
      clipSkip: values.clipSkip,
      aestheticScore: values.aestheticScore,
      negativeAestheticScore: values.negativeAestheticScore,
    }),
  };
}

/**
 * Sampler and schedule by our names. A schedule in the sampler's name takes precedence, as in the web UI; `Automatic` says
 * nothing without a sampler.
 */
function methodOf(values: StatedValues, warnings: string[]): { sampler?: string; scheduler?: unknown } {
  const named = nameOf(values.sampler);
  const found = named === undefined ? undefined : findSampler(named);
  if (named !== undefined && !found) warnings.push(unknownName('sampler', named));
  if (values.sigmas) return { ...found, scheduler: values.sigmas.map(toNumber) };
  const schedule = nameOf(values.scheduler);
  if (found?.scheduler || schedule === undefined || (!found && isAutomatic(schedule))) return { ...found };
  const scheduler = findScheduler(schedule, found?.sampler);
  if (scheduler === undefined) warnings.push(unknownName('scheduler', schedule));
  return { ...found, ...(scheduler && { scheduler }) };
}

function unknownName(kind: 'sampler' | 'scheduler', name: string): string {
  const advice = adviceOnName(kind, name);
  return `The image was generated with the ${kind} ${describe(name)}, which is unknown here${advice ? `. ${advice}` : ''}`;
}

function nameOf(value: unknown): string | undefined {
  return value === undefined || value === null || value === '' ? undefined : String(value);
}

function seedOf(value: unknown): unknown {
  // What stands for a random seed in an option says nothing about the seed that was used.
  const seed = typeof value === 'string' ? (readSeed(value) ?? toNumber(value)) : value;
  return typeof seed === 'number' && seed < 0 ? String(seed) : (seed ?? undefined);
}

function rngOf(value: unknown, warnings: string[]): string | undefined {
  const name = nameOf(value);
  const rng = name === undefined ? undefined : GENERATORS[name.toLowerCase()];
  if (name !== undefined && !rng) {
    warnings.push(`The image was generated with the random generator ${describe(name)}, which is unknown here`);
  }
  return rng;
}

/** A second pass, unless its upscaler is a file that must be given. */
function hiresOf({ hires, strength }: StatedValues, warnings: string[]): Record<string, unknown> | undefined {
  const name = String(hires?.upscaler);
  const upscaler = findHiresUpscaler(name);
  if (!upscaler) {
    warnings.push(
      `The image was enlarged and refined with the upscaler ${describe(name)}, which must be given as hires`,
    );
    return undefined;
  }
  const { scale, width, height, steps } = hires ?? {};
  return withoutUndefined({ ...toNumbers({ scale, width, height, steps, denoisingStrength: strength }), upscaler });
}

/** The strength, which of an image without a second pass says that it started from another. */
function readStrength(
  values: StatedValues,
  warnings: string[],
): { readonly strength: number | undefined; readonly rest: StatedValues } {
  const stated = toNumber(values.strength) ?? undefined;
  const strength = typeof stated === 'number' && stated >= 0 && stated <= 1 ? stated : undefined;
  if (stated !== undefined && strength === undefined) {
    warnings.push(`Expected a number from 0 to 1 for strength but the image says ${describe(stated)}`);
  }
  const startedFrom = values.hires === undefined && (strength !== undefined || values.imageCfgScale !== undefined);
  if (startedFrom) warnings.push('The image was generated from another image, which it does not hold');
  return { strength, rest: { ...values, strength } };
}

/** Leaves out every option that a call would refuse, and says so; of prompts it only says it. */
function keepValid(given: Record<string, unknown>, warnings: string[]): Txt2ImgOptions {
  const options = withoutUndefined(given);
  for (;;) {
    const problems = problemsOf(options);
    const wrong = problems.filter(({ name }) => optionOf(name) in options && !PROMPTS.includes(optionOf(name)));
    const told = wrong.length > 0 ? wrong : problems;
    warnings.push(
      ...told.map(({ name, expected, received }) => `Expected ${expected} for ${name} but the image says ${received}`),
    );
    if (wrong.length === 0) return options as unknown as Txt2ImgOptions;
    for (const { name } of wrong) for (const option of together(optionOf(name))) delete options[option];
  }
}

function problemsOf(options: unknown): readonly ArgumentProblem[] {
  try {
    checkOptions('txt2img', options, ANY_MODEL);
    return [];
  } catch (error) {
    if (!isArgumentError(error)) throw error;
    return error.problems;
  }
}

/** The option that a problem is of: `hires` of `hires.steps`, `width` of `width x height x batchSize`. */
function optionOf(name: string): string {
  return name.split(/[. []/)[0] as string;
}

/** One side says nothing without the other. */
function together(option: string): readonly string[] {
  return option === 'width' || option === 'height' ? ['width', 'height'] : [option];
}

function toNumbers(values: Readonly<Record<string, unknown>> | undefined): Record<string, unknown> | undefined {
  return (
    values && Object.fromEntries(Object.entries(values).map(([key, value]) => [key, toNumber(value) ?? undefined]))
  );
}
