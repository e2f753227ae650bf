// The options of a conversion (types, formats and rules), and their checks.

import { extname } from 'node:path';
import { argumentError, closest, describe } from '../core/errors.ts';
import type { NativeAddon, NativeConvertOptions } from '../native/contract.ts';
import { OptionCheck } from '../options/check.ts';

/** The weight types that a conversion can write, those with the most bits first. */
export const CONVERSION_TYPES = [
  ...(['f32', 'f16', 'bf16', 'q8_0', 'q6_k', 'q5_k', 'q5_1', 'q5_0', 'q4_k', 'q4_1', 'q4_0'] as const),
  ...(['iq4_nl', 'iq4_xs', 'q3_k', 'q2_k'] as const),
] as const;

/** A weight type that a conversion can write. */
export type ConversionType = (typeof CONVERSION_TYPES)[number];

/** The types of safetensors files. */
const PLAIN_TYPES: readonly ConversionType[] = ['f32', 'f16', 'bf16'];

/** Progress of a conversion. */
export interface ConversionProgress {
  /** Bytes of the source that are converted, and their total. */
  readonly done: number;
  readonly total: number;
  /** Estimated seconds left. */
  readonly secondsLeft: number;
}

/** Options of {@link convert}. */
export interface ConvertOptions {
  /**
   * The type of the weights: `f32`, `f16`, `bf16`; in GGUF files also `q8_0`, `q6_k`, `q5_k`, `q5_1`, `q5_0`, `q4_k`,
   * `q4_1`, `q4_0`, `iq4_nl`, `iq4_xs`, `q3_k` and `q2_k`, in any case. Quantized types apply to the matrices and
   * convolution kernels of UNets and text encoders. Norms and biases keep their type; embeddings, the first and last
   * layers and the VAE are f16 at most. If rows are not a multiple of the type's block size, a type with smaller blocks
   * is used instead, or f16. Default: keep the types of the source.
   */
  type?: ConversionType | undefined;
  /**
   * Types for tensors by name, as in `sd-cli`: `regex=type,regex=type`. The first expression that matches a part of the
   * name counts, also for tensors that are not quantized by default. At most 256 characters per expression. Default:
   * none.
   */
  tensorTypeRules?: string | undefined;
  /**
   * Keep convolution kernels in f16 if their rows are not a multiple of the block size. Otherwise they are stored as in
   * ComfyUI-GGUF, which stable-diffusion.cpp does not read. Default: false.
   */
  keepConvolutions?: boolean | undefined;
  /** Number of threads, 1 to 512. Default: one per physical core, at most 16. */
  threads?: number | undefined;
  /** Called during the conversion. If it throws, the conversion fails with that error. */
  onProgress?: ((progress: ConversionProgress) => void) | undefined;
  /** Cancels the conversion: it rejects with `signal.reason` and leaves no file. */
  signal?: AbortSignal | undefined;
}

type Rule = NativeConvertOptions['rules'][number];

/** The names of the options. */
const OPTIONS: readonly (keyof ConvertOptions)[] = [
  ...(['type', 'tensorTypeRules', 'keepConvolutions', 'threads', 'onProgress', 'signal'] as const),
];
const FORMATS = { '.gguf': 'gguf', '.safetensors': 'safetensors' } as const;
type Format = (typeof FORMATS)[keyof typeof FORMATS];
const MAX_THREADS = 512;
/** More threads than this would wait for the disk. */
const DEFAULT_MAX_THREADS = 16;
const MAX_RULES_LENGTH = 10_000;
/** Limits one expression: the time to match nested look-aheads grows with the square of their number. */
const MAX_PATTERN_LENGTH = 256;

/**
 * The format for a file name.
 *
 * @param name of the option, for messages.
 * @throws RangeError for another extension.
 */
export function formatOf(path: string, name = 'output'): Format {
  const format = FORMATS[extname(path).toLowerCase() as keyof typeof FORMATS];
  if (format) return format;
  const expected = `a name that ends in ${Object.keys(FORMATS).join(' or ')}`;
  throw argumentError([{ name, expected, received: describe(path), code: 'ERR_INVALID_ARG_VALUE' }]);
}

/**
 * Checks the options of a conversion.
 *
 * @throws TypeError or RangeError with all problems.
 */
export function checkConvertOptions(options: unknown, format: Format, addon: Pick<NativeAddon, 'cores'>) {
  const check = new OptionCheck(options, OPTIONS);
  const types = format === 'gguf' ? CONVERSION_TYPES : PLAIN_TYPES;
  const where = format === 'gguf' ? '' : '. Quantized types go into .gguf files';
  const threads = { min: 1, max: MAX_THREADS, integer: true };
  const checked = {
    format,
    type: check.value('type') === undefined ? '' : (typeOf(check, check.value('type'), 'type', types, where) ?? ''),
    rules: rulesOf(check, types, where),
    keepConvolutions: check.boolean('keepConvolutions', false),
    threads: check.number('threads', Math.min(addon.cores, DEFAULT_MAX_THREADS), threads),
    onProgress: check.callback<(progress: ConversionProgress) => void>('onProgress'),
    signal: check.signal(),
  };
  check.done();
  return checked;
}

function typeOf(
  check: OptionCheck,
  value: unknown,
  name: string,
  types: readonly ConversionType[],
  where: string,
): ConversionType | undefined {
  const expected = `one of ${types.join(', ')}`;
  if (typeof value !== 'string') {
    check.problem({ name, expected, received: describe(value), code: 'ERR_INVALID_ARG_TYPE' });
    return undefined;
  }
  const known = types.find((type) => type === value.toLowerCase());
  if (known) return known;
  const near = closest(value, types);
  const remedy = where ? where.slice(2) : near && `Did you mean '${near}'?`;
  check.problem({ name, expected, received: describe(value), ...(remedy ? { remedy } : {}) });
  return undefined;
}

/**
 * Expressions may contain commas and equals signs, types do not: a rule ends at a comma after an equals sign and a
 * word.
 */
function rulesOf(check: OptionCheck, types: readonly ConversionType[], where: string): Rule[] {
  const name = 'tensorTypeRules';
  const text = check.string(name, '', MAX_RULES_LENGTH);
  if (text === '') return [];
  const rules: Rule[] = [];
  for (const [rule] of text.matchAll(/.+?(?:=\w+(?:,|$)|$)/gs)) {
    const [, pattern, typeName] = /^(.+)=(\w+),?$/s.exec(rule) ?? [];
    if (pattern === undefined || !isExpression(pattern)) {
      check.problem({ name, expected: 'rules of the form regex=type,regex=type', received: describe(rule) });
      continue;
    }
    if (pattern.length > MAX_PATTERN_LENGTH) {
      const expected = `expressions of at most ${MAX_PATTERN_LENGTH} characters`;
      check.problem({ name, expected, received: describe(pattern) });
      continue;
    }
    const type = typeOf(check, typeName, name, types, where);
    if (type) rules.push({ pattern, type });
  }
  return rules;
}

function isExpression(pattern: string): boolean {
  try {
    new RegExp(pattern);
    return true;
  } catch {
    return false;
  }
}
