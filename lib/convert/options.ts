// The options of a conversion, and their checks.

import { extname } from 'node:path';
import { argumentError, describe } from '../core/errors.ts';
import { CONVERSION_TYPES, type ConversionType, checkTypes, PLAIN_TYPES } from '../loading/weight-types.ts';
import type { NativeAddon } from '../native/contract.ts';
import { OptionCheck } from '../options/check.ts';

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

/** The names of the options. */
const OPTIONS: readonly (keyof ConvertOptions)[] = [
  ...(['type', 'tensorTypeRules', 'keepConvolutions', 'threads', 'onProgress', 'signal'] as const),
];
const FORMATS = { '.gguf': 'gguf', '.safetensors': 'safetensors' } as const;
type Format = (typeof FORMATS)[keyof typeof FORMATS];
const MAX_THREADS = 512;
/** More threads than this would wait for the disk. */
const DEFAULT_MAX_THREADS = 16;

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
  const remedy = format === 'gguf' ? '' : 'Quantized types go into .gguf files';
  const threads = { min: 1, max: MAX_THREADS, integer: true };
  const checked = {
    format,
    ...checkTypes(check, types, remedy),
    keepConvolutions: check.boolean('keepConvolutions', false),
    threads: check.number('threads', Math.min(addon.cores, DEFAULT_MAX_THREADS), threads),
    onProgress: check.callback<(progress: ConversionProgress) => void>('onProgress'),
    signal: check.signal(),
  };
  check.done();
  return checked;
}
