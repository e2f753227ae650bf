// From the flags of the commands that draw to the options of the API, and back in the messages about them.

import { type ArgumentError, argumentError } from '../errors.ts';
import type { LoadOptions } from '../load-options.ts';
import { readSeed } from '../noise/seed.ts';
import { OptionCheck } from '../options.ts';
import { PICTURE_INPUT } from '../picture/input.ts';
import { HIRES_UPSCALERS } from '../pipeline/hires-options.ts';
import { EMBEDDED_MODEL, type ModelSource } from '../source.ts';
import type { CommandLine } from './arguments.ts';
import { controlOption, readControlFlags } from './controls.ts';
import type { DrawingOptions, Flag } from './flag.ts';
import { FLAGS } from './flags.ts';
import { UsageError } from './usage-error.ts';
import { toNumber } from './values.ts';

/** What a command line asks for, in the terms of the API. Values are not checked yet. */
export interface Request {
  /** Undefined for the model that comes along. */
  readonly source: ModelSource | undefined;
  readonly load: Pick<LoadOptions, 'device' | 'threads' | 'precision' | 'prediction'>;
  /** Those of the method that has the name of the command. */
  readonly options: DrawingOptions;
  readonly output: string;
  readonly count: number;
  readonly previewPath: string | undefined;
  readonly json: boolean;
  readonly verbose: boolean;
}

const MAX_COUNT = 10_000;

/** @throws UsageError or RangeError for the flags that concern the command line alone. */
export function readRequest(commandLine: CommandLine): Request {
  const { flags } = commandLine;
  if (flags.sigmas !== undefined && flags.scheduler !== undefined) {
    throw new UsageError('Expected either --sigmas or --scheduler but received both');
  }
  const values: Record<string, unknown> = {};
  for (const flag of FLAGS)
    if (flag.option && flags[flag.name] !== undefined) values[flag.option] = toValue(flag, flags[flag.name]);
  const { device, threads, precision, prediction, ...others } = values;
  const { source, rest } = readSource(commandLine, others);
  const options = withHires(rest);
  return {
    source,
    load: withoutUndefined({
      device,
      threads,
      precision,
      prediction: prediction === 'eps' ? 'epsilon' : prediction,
    }) as Request['load'],
    options: withoutUndefined({
      ...options,
      ...readTileable(commandLine),
      controls: readControlFlags(commandLine),
    }) as unknown as DrawingOptions,
    output: text(flags.output) ?? 'output.png',
    count: readCount(commandLine, 'batch-count', MAX_COUNT),
    previewPath: text(flags['preview-path']),
    json: flags.json === true,
    verbose: flags.verbose === true,
  };
}

function readTileable({ flags }: CommandLine): { tileable?: boolean | 'x' | 'y' } {
  const { circular, circularx, circulary } = flags;
  if (circular || (circularx && circulary)) return { tileable: true };
  return circularx ? { tileable: 'x' } : circulary ? { tileable: 'y' } : {};
}

/** Names of upscalers as `sd-cli` spells them, `Latent (nearest)`, become those of the API; the rest is a path. */
function upscalerName(text: string): string {
  const name = text.toLowerCase().replace(/^latent \((\w+)\)$/, 'latent-$1');
  return HIRES_UPSCALERS.some((known) => known === name) ? name : text;
}

/** The flags of the second pass as the option that they make together. */
function withHires(values: Record<string, unknown>): Record<string, unknown> {
  const prefix = 'hires.';
  const isPart = (key: string) => key.startsWith(prefix);
  const parts = Object.entries(values).filter(([key]) => isPart(key));
  if (parts.length === 0) return values;
  if (!values.hires) throw new UsageError('Expected --hires beside the flags of a second pass');
  const hires = Object.fromEntries(parts.map(([key, value]) => [key.slice(prefix.length), value]));
  if (typeof hires.upscaler === 'string') hires.upscaler = upscalerName(hires.upscaler);
  return { ...Object.fromEntries(Object.entries(values).filter(([key]) => !isPart(key))), hires };
}

/** As in `sd-cli`, --taesd decodes in place of the VAE, unless it is for previews only. */
function readVaes({ flags }: CommandLine, vae: unknown, taesd: unknown): { vae?: unknown; taesd?: unknown } {
  const previewOnly = flags['taesd-preview-only'] === true;
  if (previewOnly && taesd === undefined) throw new UsageError('Expected --taesd for --taesd-preview-only');
  if (previewOnly || taesd === undefined) return { vae, taesd };
  if (vae !== undefined) {
    throw new UsageError('Expected either --vae or --taesd, or --taesd-preview-only beside both, but received both');
  }
  return { vae: taesd };
}

/** The model of a command line: that which comes along where no part of another is named. */
function readSource(
  commandLine: CommandLine,
  values: Readonly<Record<string, unknown>>,
): {
  source: ModelSource | undefined;
  rest: Readonly<Record<string, unknown>>;
} {
  const { model, unet, textEncoder, textEncoder2, vae, taesd, depthModel, ...rest } = values;
  const vaes = readVaes(commandLine, vae, taesd);
  const parts = withoutUndefined({ model, unet, textEncoder, textEncoder2, ...vaes });
  const named = Object.keys(parts).length > 0;
  const whole = named ? parts : { model: EMBEDDED_MODEL };
  const source = depthModel === undefined ? parts : { ...whole, depthModel };
  return { source: named || depthModel !== undefined ? (source as ModelSource) : undefined, rest };
}

/** Rewords an error about options so that it names the flags that set them. */
export function inFlags(error: ArgumentError, { flags }: CommandLine): ArgumentError {
  const problems = error.problems.map((problem) => {
    // A part of an option's value has its own name, `targetSize.width`.
    const wanted = [controlOption(problem.name), problem.name, problem.name.split('.')[0]];
    const setters = FLAGS.filter(({ option }) => wanted.includes(option));
    const flag = setters.find(({ name }) => flags[name] !== undefined) ?? setters[0];
    const name = flag ? `--${flag.name}` : problem.name;
    const expected = problem.expected === PICTURE_INPUT ? 'the path of a picture' : problem.expected;
    const missing = problem.received === 'undefined';
    return { ...problem, name, expected, received: missing ? 'none' : problem.received };
  });
  return argumentError(problems);
}

/** A number of times, 1 where the flag is not given. */
export function readCount({ flags }: CommandLine, flag: string, max: number): number {
  const name = `--${flag}`;
  const check = new OptionCheck({ [name]: toNumber(flags[flag]) }, [name]);
  const count = check.number(name, 1, { min: 1, max, integer: true });
  check.done();
  return count;
}

function toValue({ kind, name }: Flag, value: string | true | undefined): unknown {
  if (kind === 'number') return toNumber(value);
  if (kind === 'seed') return readSeed(String(value)) ?? toNumber(value);
  if (kind === 'numbers') return toNumbers(String(value).replace(/^\[|\]$/g, ''), ',');
  if (kind === 'size') return toPair(name, String(value), 'x', ['width', 'height']);
  if (kind === 'corner') return toPair(name, String(value), ',', ['top', 'left']);
  return value;
}

function toNumbers(text: string, separator: string): unknown[] {
  return text.split(separator).map((part) => toNumber(part.trim()));
}

/** Two numbers as an object, under the names that the API has for them. */
function toPair(flag: string, text: string, separator: string, keys: readonly [string, string]): object {
  const numbers = toNumbers(text, separator);
  if (numbers.length === 2 && numbers.every((value) => typeof value === 'number')) {
    return { [keys[0]]: numbers[0], [keys[1]]: numbers[1] };
  }
  const form = keys.map((key) => key.toUpperCase()).join(separator);
  throw new UsageError(`Expected ${form} in pixels for --${flag} but received '${text}'`);
}

function text(value: string | true | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function withoutUndefined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
