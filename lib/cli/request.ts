// Converts the flags of a command to options of the API.

import { describe } from '../core/errors.ts';
import { EMBEDDED_MODEL } from '../core/package-files.ts';
import { toNumber, withoutUndefined } from '../core/values.ts';
import type { LoadOptions } from '../loading/load-options.ts';
import type { ModelSource } from '../loading/source.ts';
import { OptionCheck } from '../options/check.ts';
import { readSeed, SEEDS } from '../rng/seed.ts';
import { type CommandLine, textOf } from './command-line.ts';
import { readControlFlags } from './controls.ts';
import type { AnyGenerationOptions, Flag } from './flag.ts';
import { FLAGS } from './flags.ts';
import type { Problems } from './problems.ts';
import { progressKind } from './progress.ts';
import { UsageError } from './usage-error.ts';

/** A command line in terms of the API. Values are not checked yet. */
export interface Request {
  /** Undefined for the embedded model. */
  readonly source: ModelSource | undefined;
  readonly load: Omit<LoadOptions, 'profile' | 'onProgress' | 'signal' | 'logger'>;
  /** The options of the method with the name of the command. */
  readonly options: AnyGenerationOptions;
  readonly count: number;
  readonly previewPath: string | undefined;
  readonly json: boolean;
  readonly verbose: boolean;
}

const MAX_COUNT = 10_000;

/** @param problems receives the problems of flags that are not options of the API. */
export function readRequest(commandLine: CommandLine, problems: Problems): Request {
  const { flags } = commandLine;
  if (flags.sigmas !== undefined && flags.scheduler !== undefined) {
    problems.add('Expected either --sigmas or --scheduler but received both');
  }
  const values: Record<string, unknown> = {};
  for (const flag of FLAGS) {
    if (!flag.option || flags[flag.name] === undefined) continue;
    if (flag.value === undefined) values[flag.option] = problems.attempt(() => toValue(flag, flags[flag.name]));
    else values[flag.option] = withSwitch(values[flag.option], flag, problems);
  }
  const { type, tensorTypeRules, device, threads, precision, prediction: predicted, ...more } = values;
  const { zeroTerminalSnr, flowShift, residency, memory, ...others } = more;
  const prediction = predicted === 'eps' ? 'epsilon' : predicted;
  const { source, rest } = readSource(commandLine, others, problems);
  const options: Record<string, unknown> = {
    ...withHires(rest, problems),
    controls: problems.attempt(() => readControlFlags(commandLine)),
    // The user who gives a prompt here may read any of their files; the author of the image of --from may not.
    loraTags: flags.prompt === undefined && flags.from !== undefined ? 'names' : 'paths',
  };
  const count = problems.attempt(() => readCount(commandLine, 'batch-count', MAX_COUNT)) ?? 1;
  problems.attempt(() => progressKind(flags));
  return {
    source,
    load: withoutUndefined({
      ...{ type, tensorTypeRules, device, threads, precision, prediction, zeroTerminalSnr, flowShift },
      mmap: flags['no-mmap'] ? false : undefined,
      residency: readResidency(residency),
      memory: readMemory(memory, flags['max-vram'], problems),
    }),
    options: withoutUndefined(options) as unknown as AnyGenerationOptions,
    count,
    previewPath: textOf(flags['preview-path']),
    json: flags.json === true,
    verbose: flags.verbose === true,
  };
}

/** What an option is with one more of its switches: two together mean true, as `x` and `y` do, unless one means false. */
function withSwitch(before: unknown, { name, value }: Flag, problems: Problems): unknown {
  if (before === undefined) return value;
  if (before === false || value === false) {
    const positive = name.replace(/^no-/, '');
    problems.add(`Expected either --${positive} or --no-${positive} but received both`);
  }
  return true;
}

/** stable-diffusion.cpp's flag has GiB. */
function readMemory(memory: unknown, gibibytes: unknown, problems: Problems): unknown {
  if (gibibytes === undefined) return memory;
  if (memory !== undefined) problems.add('Expected either --memory or --max-vram but received both');
  const number = toNumber(gibibytes);
  if (typeof number === 'number' && number > 0) return Math.floor(number * 2 ** 30);
  problems.add(`Expected a number of GiB above 0 for --max-vram but received ${describe(gibibytes)}`);
  return undefined;
}

/** A number is a budget in bytes; anything else is left to the check of the option. */
function readResidency(value: unknown): unknown {
  const budget = toNumber(value);
  return typeof budget === 'number' ? { budget } : value;
}

/** Combines the flags of the second pass into one option. */
function withHires(values: Readonly<Record<string, unknown>>, problems: Problems): Record<string, unknown> {
  const prefix = 'hires.';
  const isPart = (key: string) => key.startsWith(prefix);
  const parts = Object.entries(values).filter(([key]) => isPart(key));
  if (parts.length === 0) return values;
  if (!values.hires) problems.add('Expected --hires with the flags of a second pass');
  const hires = Object.fromEntries(parts.map(([key, value]) => [key.slice(prefix.length), value]));
  return { ...Object.fromEntries(Object.entries(values).filter(([key]) => !isPart(key))), hires };
}

/** As in `sd-cli`, --taesd replaces the VAE unless it is for previews only. */
function readVaes(
  { flags }: CommandLine,
  vae: unknown,
  taesd: unknown,
  problems: Problems,
): { vae?: unknown; taesd?: unknown } {
  const previewOnly = flags['taesd-preview-only'] === true;
  if (previewOnly && taesd === undefined) problems.add('Expected --taesd for --taesd-preview-only');
  if (previewOnly || taesd === undefined) return { vae, taesd };
  if (vae !== undefined) {
    problems.add('Expected either --vae or --taesd, or --taesd-preview-only with both, but received both');
  }
  return { vae: taesd };
}

/** The model of a command line: the embedded one if no part of another is given. */
function readSource(
  commandLine: CommandLine,
  values: Readonly<Record<string, unknown>>,
  problems: Problems,
): { source: ModelSource | undefined; rest: Readonly<Record<string, unknown>> } {
  const { model, unet, textEncoder, textEncoder2, llm, vae, taesd, depthModel, ...rest } = values;
  const vaes = readVaes(commandLine, vae, taesd, problems);
  const parts = withoutUndefined({ model, unet, textEncoder, textEncoder2, llm, ...vaes });
  const named = Object.keys(parts).length > 0;
  const whole = named ? parts : { model: EMBEDDED_MODEL };
  const source = depthModel === undefined ? parts : { ...whole, depthModel };
  return { source: named || depthModel !== undefined ? (source as ModelSource) : undefined, rest };
}

/** Several images have consecutive seeds, which must all be valid. */
export function checkLastSeed(seed: unknown, count: number, problems: Problems): void {
  if (typeof seed !== 'bigint' && !Number.isSafeInteger(seed)) return;
  const first = BigInt(seed as number | bigint);
  if (first >= SEEDS || first <= SEEDS - BigInt(count)) return;
  problems.add(`Expected a seed up to 2^64 - ${count}, so that every image has one, for --seed but received ${seed}`);
}

/**
 * Reads a count, 1 if the flag is not given.
 *
 * @throws RangeError or TypeError for anything else.
 */
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
  if (kind === 'side') return toSide(name, String(value));
  if (kind === 'corner') return toPair(name, String(value), ',', ['top', 'left']);
  return value;
}

function toNumbers(text: string, separator: string): unknown[] {
  return text.split(separator).map((part) => toNumber(part.trim()));
}

/** A number, or as `sd-cli` has it, that of both sides of a square. */
function toSide(flag: string, text: string): unknown {
  const [first, second = first, ...others] = toNumbers(text, 'x');
  if (first === second && others.length === 0) return first;
  throw new UsageError(`Expected a number, or a square such as 32x32, for --${flag} but received '${text}'`);
}

/** Two numbers as an object with the API's property names. */
function toPair(flag: string, text: string, separator: string, keys: readonly [string, string]): object {
  const numbers = toNumbers(text, separator);
  if (numbers.length === 2 && numbers.every((value) => typeof value === 'number')) {
    return { [keys[0]]: numbers[0], [keys[1]]: numbers[1] };
  }
  const form = keys.map((key) => key.toUpperCase()).join(separator);
  throw new UsageError(`Expected ${form} in pixels for --${flag} but received '${text}'`);
}
