// The options of loading a model: their types, defaults and limits.

import { PREDICTION_TYPES, type PredictionType } from './guidance/index.ts';
import type { NativeAddon, NativeProgress } from './native/contract.ts';
import { OptionCheck } from './options.ts';

/** Takes the messages of the native engine. `console` and the loggers of pino and winston fit. */
export interface Logger {
  debug?(message: string): void;
  info?(message: string): void;
  warn?(message: string): void;
  error?(message: string): void;
}

/** Options of {@link loadModel}. */
export interface LoadOptions {
  /** Name of a device, see {@link listDevices}. Default: the first GPU, otherwise `cpu`. */
  device?: string | undefined;
  /**
   * Compute threads, 1 to 512. Default: one for each physical core. Models that compute at the same time take turns where
   * they would need more threads together than the processor has.
   */
  threads?: number | undefined;
  /**
   * The numbers that the CPU multiplies; sums are always kept in f32. `bf16` is twice as fast where the processor has it
   * (AVX-512 BF16) and gave the picture of `f32` at 49 dB PSNR or more where that was measured; `auto`, the default, takes
   * it there. Only `auto` is for GPUs.
   */
  precision?: (typeof PRECISIONS)[number] | undefined;
  /** What the UNet predicts, noise or velocity, where the file does not say it or says it wrong. */
  prediction?: PredictionType | undefined;
  /** Take the time of every operation, for {@link Model.profile}; threads then stop after each one. Default: false. */
  profile?: boolean | undefined;
  /** Called while weights are read. What it throws ends the load. */
  onProgress?: ((progress: NativeProgress) => void) | undefined;
  /** Cancels the load: it rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
  /** Takes the messages of this model's engine; default none. */
  logger?: Logger | undefined;
}

/** Names of precisions, as users give them. */
export const PRECISIONS = ['auto', 'f32', 'bf16'] as const;
const KNOWN: readonly (keyof LoadOptions)[] = [
  'device',
  'threads',
  'precision',
  'prediction',
  'profile',
  'onProgress',
  'signal',
  'logger',
];
/** Those of networks from images to images. */
export const IMAGE_NETWORK_OPTIONS = KNOWN.filter((name) => name !== 'prediction');
const MAX_THREADS = 512;

/** @throws TypeError or RangeError with every problem that was found. */
export function checkLoadOptions(options: unknown, addon: NativeAddon, known = KNOWN) {
  const check = new OptionCheck(options, known);
  const devices = addon.devices();
  const fallback = devices.find(({ type }) => type === 'gpu')?.name ?? 'cpu';
  const checked = {
    device: check.name(
      'device',
      fallback,
      devices.map(({ name }) => name),
    ),
    threads: check.number('threads', Math.min(addon.cores, MAX_THREADS), {
      min: 1,
      max: MAX_THREADS,
      integer: true,
    }),
    precision: check.name('precision', 'auto', PRECISIONS),
    prediction:
      check.value('prediction') === undefined ? undefined : check.name('prediction', 'epsilon', PREDICTION_TYPES),
    profile: check.boolean('profile', false),
    onProgress: check.callback<(progress: NativeProgress) => void>('onProgress'),
    signal: check.signal(),
    logger: check.object<Logger>('logger'),
  };
  check.done();
  return checked;
}
