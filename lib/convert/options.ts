// The options of a conversion: types, formats and rules, and their checks.

import { extname } from 'node:path';
import { argumentError, closest, describe } from '../core/errors.ts';
import type { NativeAddon, NativeConvertOptions } from '../native/contract.ts';
import { OptionCheck } from '../options/check.ts';

/** The types of weights that a conversion writes, those with the most bits first. */
export const CONVERSION_TYPES = [
  ...(['f32', 'f16', 'bf16', 'q8_0', 'q6_k', 'q5_k', 'q5_1', 'q5_0', 'q4_k', 'q4_1', 'q4_0'] as const),
  ...(['iq4_nl', 'iq4_xs', 'q3_k', 'q2_k'] as const),
] as const;

/** A type of weights that a conversion writes. */
export type ConversionType = (typeof CONVERSION_TYPES)[number];

/** Those that safetensors has. */
const PLAIN_TYPES: readonly ConversionType[] = ['f32', 'f16', 'bf16'];

/** How far a conversion is. */
export interface ConversionProgress {
  /** Bytes of the source that are converted, of all that will be. */
  readonly done: number;
  readonly total: number;
  /** Seconds that the rest will take at the pace so far. */
  readonly secondsLeft: number;
}

/** Options of {@link convert}. */
export interface ConvertOptions {
  /**
   * The type of the weights: `f32`, `f16`, `bf16`; in GGUF files also `q8_0`, `q6_k`, `q5_k`, `q5_1`, `q5_0`, `q4_k`, `q4_1`, `q4_0`, `iq4_nl`,
   * `iq4_xs`, `q3_k` and `q2_k`, whatever their case. Quantized are the matrices and convolution kernels of UNets and text encoders; norms,
   * biases, embeddings, the first and last layers and the VAE stay as they are, at most in f16 where they are no vectors. Where rows are
   * no whole blocks of the type, one with smaller blocks takes its place, or f16. Default: the types that the source has.
   */
  type?: ConversionType | undefined;
  /**
   * Types for tensors by their names in the file, as of `sd-cli`: `regex=type,regex=type`. The first expression that is found in a name
   * counts, for tensors that would otherwise not be quantized too. At most 256 characters each. Default: none.
   */
  tensorTypeRules?: string | undefined;
  /**
   * Leave convolution kernels in f16 where their rows are no whole blocks. A file without it has them in the form of ComfyUI-GGUF, which
   * stable-diffusion.cpp does not read. Default: false.
   */
  keepConvolutions?: boolean | undefined;
  /** Threads that convert, 1 to 512. Default: one for each physical core, at most 16. */
  threads?: number | undefined;
  /** Called while weights are converted. What it throws ends the conversion. */
  onProgress?: ((progress: ConversionProgress) => void) | undefined;
  /** Cancels the conversion: it rejects with `signal.reason`, and no file is left. */
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
/** More threads than this wait for the disk. */
const USUAL_THREADS = 16;
const MAX_RULES_LENGTH = 10_000;
/** Of one expression. The time to match nested look-aheads grows with the square of their number. */
const MAX_PATTERN_LENGTH = 256;

/**
 * The format that a name asks for.
 *
 * @param name of the option, for messages.
 * @throws RangeError where it asks for none.
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
 * @throws TypeError or RangeError with every problem that was found.
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
    threads: check.number('threads', Math.min(addon.cores, USUAL_THREADS), threads),
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

/** Expressions may have commas and equals signs, types have neither: each ends at a comma behind an equals sign and a word. */
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
