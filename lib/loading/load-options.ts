// The options of loading a model: their types, defaults and limits.

import { describe } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { NativeAddon, NativeProgress } from '../native/contract.ts';
import { PREDICTION_TYPES, type PredictionType } from '../noise-model/index.ts';
import { OptionCheck, within } from '../options/check.ts';

/** Options for loading any network: where it runs, and where messages go. */
export interface ComputeOptions {
  /** Name of a device, see {@link listDevices}. Default: the first GPU, otherwise `cpu`. */
  device?: string | undefined;
  /**
   * Compute threads, 1 to 512. Default: one for each physical core, fewer where affinity or a quota (Linux' control groups) leave
   * fewer. Models that compute at the same time take turns where they would need more threads together than the processor has.
   */
  threads?: number | undefined;
  /**
   * The numbers that the CPU multiplies; sums are always kept in f32. `bf16` is twice as fast where the processor has it
   * (AVX-512 BF16) and gave the image of `f32` at 49 dB PSNR or more where that was measured; `auto`, the default, takes
   * it there. Only `auto` is for GPUs.
   */
  precision?: (typeof PRECISIONS)[number] | undefined;
  /**
   * Leave weights in their files where those have 256 MiB or more, and read them from there when they are needed: loading takes no time, and
   * models share memory with the system's cache. The files must stay as they are, then: a result during which one was written to or
   * cut is refused (`ERR_FILE`). `false` copies all weights into memory while the model loads, of files of any size. GPUs always get a copy.
   * Default: true.
   */
  mmap?: boolean | undefined;
  /** Called while weights are read. What it throws ends the load. */
  onProgress?: ((progress: NativeProgress) => void) | undefined;
  /** Cancels the load: it rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
  /** Takes the messages of this model; default none. */
  logger?: Logger | undefined;
}

/**
 * When the weights of a network go that is not in use: `keep` for never; `unload` when another network is evaluated, so that one is in
 * memory at a time; a budget in bytes: when the copies of weights in memory would take more together, those first that were not used for
 * the longest time. Weights that are read from mapped files do not count. A network that is needed again is read again
 * from the model's files, which must stay as they are (`ERR_FILE` otherwise).
 */
export type Residency = 'keep' | 'unload' | { readonly budget: number };

/** Options of {@link loadModel}. */
export interface LoadOptions extends ComputeOptions {
  /** What the UNet predicts, noise or velocity, where the file does not say it or says it wrong. */
  prediction?: PredictionType | undefined;
  /**
   * Whether the noise levels are rescaled so that the first step starts from noise alone (a zero terminal SNR, Lin et al. 2023), where
   * the file does not say it or says it wrong. Such models predict `v`.
   */
  zeroTerminalSnr?: boolean | undefined;
  /**
   * When the weights of networks are in memory. Default `keep`: all, from loading on. Otherwise each network is loaded when it is first
   * used, and `onProgress` is not called.
   */
  residency?: Residency | undefined;
  /** Take the time of every operation, for {@link Model.profile}; threads then stop after each one. Default: false. */
  profile?: boolean | undefined;
}

/** {@link Residency} as the native side takes it: a number is a budget. */
type CheckedResidency = 'keep' | 'unload' | number;

/** The options of one load with every default filled in, known to be right. */
export interface CheckedComputeOptions {
  readonly device: string;
  readonly threads: number;
  readonly precision: (typeof PRECISIONS)[number];
  readonly mmap: boolean;
  readonly residency?: CheckedResidency;
  readonly profile?: boolean;
  readonly onProgress: ComputeOptions['onProgress'];
  readonly signal: AbortSignal | undefined;
  readonly logger: Logger | undefined;
}

/** Names of precisions, as users give them. */
export const PRECISIONS = ['auto', 'f32', 'bf16'] as const;
/** The names of the options. */
export const COMPUTE_OPTIONS: readonly (keyof ComputeOptions)[] = [
  'device',
  'threads',
  'precision',
  'mmap',
  'onProgress',
  'signal',
  'logger',
];
const MAX_THREADS = 512;

/**
 * Checks the options for loading a network other than a model.
 *
 * @throws TypeError or RangeError with every problem that was found.
 */
export function checkNetworkOptions(options: unknown, addon: NativeAddon): CheckedComputeOptions {
  const check = new OptionCheck(options, COMPUTE_OPTIONS);
  const checked = checkComputeOptions(check, addon);
  check.done();
  return checked;
}

/**
 * Checks the options of loading a model.
 *
 * @throws TypeError or RangeError with every problem that was found.
 */
export function checkLoadOptions(options: unknown, addon: NativeAddon) {
  const check = new OptionCheck(options, [...COMPUTE_OPTIONS, 'prediction', 'zeroTerminalSnr', 'residency', 'profile']);
  const checked = {
    ...checkComputeOptions(check, addon),
    prediction:
      check.value('prediction') === undefined ? undefined : check.name('prediction', 'epsilon', PREDICTION_TYPES),
    zeroTerminalSnr: check.value('zeroTerminalSnr') === undefined ? undefined : check.boolean('zeroTerminalSnr', false),
    residency: checkResidency(check),
    profile: check.boolean('profile', false),
  };
  check.done();
  return checked;
}

function checkResidency(check: OptionCheck): CheckedResidency {
  const name = 'residency';
  const value = check.value(name);
  if (typeof value === 'object' && value !== null) return check.attempt(() => checkBudget(value, name)) ?? 'keep';
  if (value === undefined || value === 'keep' || value === 'unload') return value ?? 'keep';
  const code = typeof value === 'string' ? 'ERR_INVALID_ARG_VALUE' : 'ERR_INVALID_ARG_TYPE';
  check.problem({ name, expected: 'keep, unload or a budget of bytes', received: describe(value), code });
  return 'keep';
}

function checkBudget(value: object, name: string): number {
  const check = within(value, name, ['budget']);
  const whole = `${name}.budget`;
  if (check.value(whole) === undefined) {
    check.problem({ name: whole, expected: 'a number', received: 'undefined', code: 'ERR_INVALID_ARG_TYPE' });
  }
  const budget = check.number(whole, 0, { min: 0, max: Number.MAX_SAFE_INTEGER, integer: true });
  check.done();
  return budget;
}

/** Checks the options of loading any network; problems stay with `check`. */
export function checkComputeOptions(check: OptionCheck, addon: NativeAddon): CheckedComputeOptions {
  const devices = addon.devices();
  const fallback = devices.find(({ type }) => type === 'gpu')?.name ?? 'cpu';
  const names = devices.map(({ name }) => name);
  const threads = { min: 1, max: MAX_THREADS, integer: true };
  return {
    device: check.name('device', fallback, names),
    threads: check.number('threads', Math.min(addon.cores, MAX_THREADS), threads),
    precision: check.name('precision', 'auto', PRECISIONS),
    mmap: check.boolean('mmap', true),
    onProgress: check.callback<(progress: NativeProgress) => void>('onProgress'),
    signal: check.signal(),
    logger: check.object<Logger>('logger'),
  };
}
