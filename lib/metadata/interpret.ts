// From what an image states to options of a call: names become ours, texts become numbers, and what no call accepts is
// reported.

import { type ArgumentProblem, describe, isArgumentError } from '../core/errors.ts';
import { toNumber, withoutUndefined } from '../core/values.ts';
import { hasLoraTag } from '../lora/tags.ts';
import type { SamplerName } from '../sampler/index.ts';
import type { SchedulerName } from '../schedule/index.ts';
import { checkOptions } from '../task/check.ts';
import type { Txt2ImgOptions } from '../task/options.ts';
import { optionsStated } from '../task/parameters.ts';
import type { StatedValues } from '../task/stated.ts';
import { ANY_MODEL } from '../task/task.ts';
import type { Statement } from './statement.ts';

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

const PROMPTS: readonly string[] = ['prompt', 'negativePrompt'];

export function interpret(statement: Statement): ImageMetadata {
  const { software, raw, prompt, negativePrompt, values, fields } = statement;
  const warnings = [...statement.warnings];
  const { strength, rest } = readStrength(values, warnings);
  if (hasLoraTag(prompt) && fields.Loras === undefined) {
    warnings.push('The prompt names LoRAs, which are found in the folder that the option `loraDirectory` names');
  }
  if (fields['Finished after'] !== undefined) warnings.push('The run was finished early; `options` take all steps');
  const options = keepValid({ prompt, negativePrompt, ...optionsStated(rest, warnings) }, warnings);
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
    const reported = wrong.length > 0 ? wrong : problems;
    warnings.push(
      ...reported.map(
        ({ name, expected, received }) => `Expected ${expected} for ${name} but the image says ${received}`,
      ),
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
