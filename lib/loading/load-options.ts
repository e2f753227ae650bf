// The options of loading a model: their types, defaults and limits.

import { describe } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { type CheckedBudgets, checkMemory, type MemoryBudget } from '../memory/budget.ts';
import type { NativeAddon, NativeProgress } from '../native/contract.ts';
import { PREDICTION_TYPES, type PredictionType } from '../noise-model/index.ts';
import { OptionCheck, within } from '../options/check.ts';
import { checkDevice, deviceNamed } from './device.ts';
import { type ConversionType, checkTypes } from './weight-types.ts';

/** Options for loading any network: where it runs, and where messages go. */
export interface ComputeOptions {
  /**
   * `auto`, `cpu`, the first GPU of a kind (`cuda`, `vulkan`, `metal`), one of several (`cuda:1`) or a name from
   * {@link listDevices}. A GPU that is not there is `ERR_DEVICE`. The backends of GPUs are first tried in a process of
   * their own. With `auto` a broken driver is a warning, and a GPU that is a program on the CPU is not used. Default:
   * `auto`, the first GPU, otherwise `cpu`.
   */
  device?: string | undefined;
  /**
   * Compute threads, 1 to 512. Default: one per physical core, or fewer if CPU affinity or a quota (Linux control
   * groups) allows fewer. If models that compute at the same time would need more threads than there are cores, they
   * take turns.
   */
  threads?: number | undefined;
  /**
   * The type in which numbers are multiplied; sums are always f32. On the CPU `bf16` is twice as fast on processors that
   * support it (AVX-512 BF16), with images at 49 dB PSNR or more from those of `f32` in our measurements, and `auto`, the
   * default, uses `bf16` there. On GPUs `auto` lets the device choose, which is f16 as a rule; `f32` is for those of
   * Vulkan, and `ERR_DEVICE` with others. Weights stay as they are stored.
   */
  precision?: (typeof PRECISIONS)[number] | undefined;
  /**
   * Read the weights of files of 256 MiB or more from the mapped file when they are needed: loading takes no time, and
   * the memory is shared with the system's file cache. These files must not change while the model is open: if one is
   * written to or truncated during a run, the run fails (`ERR_FILE`). `false` copies all weights into memory when the
   * model is loaded. GPUs always get a copy. Default: true.
   */
  mmap?: boolean | undefined;
  /** Called while weights are read. If it throws, loading fails with that error. */
  onProgress?: ((progress: NativeProgress) => void) | undefined;
  /** Cancels loading: it rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
  /** Receives the messages of this model. Default: none. */
  logger?: Logger | undefined;
}

/**
 * When the weights of unused networks are unloaded. `keep`: never. `unload`: when another network is evaluated, so that
 * only one is in memory at a time. A budget in bytes: when the copies of weights in memory would exceed it, the least
 * recently used first; weights read from mapped files do not count. A network that is needed again is read from the
 * model's files again, which must not have changed (`ERR_FILE`).
 */
export type Residency = 'keep' | 'unload' | { readonly budget: number };

/** Options of {@link loadModel}. */
export interface LoadOptions extends ComputeOptions {
  /**
   * Convert the weights to this type while they are loaded, one tensor after the other. The images are those of the GGUF
   * file that {@link convert} writes with this type. Quantized weights are converted when a network is loaded and take
   * memory of their size; `f16`, `bf16` and `f32` weights of large files stay in the mapped file on the CPU. Default:
   * keep the types of the files.
   */
  type?: ConversionType | undefined;
  /** Types for tensors by name, as for {@link convert}. Default: none. */
  tensorTypeRules?: string | undefined;
  /** What the UNet predicts, noise or velocity, if the file does not say so or is wrong. */
  prediction?: PredictionType | undefined;
  /**
   * Whether the noise levels are rescaled so that sampling starts from pure noise (zero terminal SNR, Lin et al. 2023),
   * if the file does not say so or is wrong. Such models predict `v`.
   */
  zeroTerminalSnr?: boolean | undefined;
  /**
   * Of models of flow matching (Z-Image): shift of the noise levels towards noise, above 0. Default: that of the
   * scheduler's configuration in a diffusers folder, otherwise of the family (3).
   */
  flowShift?: number | undefined;
  /**
   * When the weights of networks are in memory. Default: `keep`, all of them as soon as the model is loaded. Otherwise
   * each network is loaded when it is first used, and `onProgress` is not called.
   */
  residency?: Residency | undefined;
  /**
   * Most memory that runs may take, of the process on the CPU, or of each device by name (as for `device`): `'1.5GB'`,
   * `{ cuda0: '4GB' }`, `'auto'` for what is free. Each run chooses the fastest way that keeps within it: networks are
   * unloaded after use, weights are read from the file for each operation, latents are evaluated one at a time. Images
   * stay the same, but for rounding in the last of these. If nothing fits, a run rejects with `ERR_OUT_OF_MEMORY`
   * before it starts, and says what would fit. Default: no budget. Not with `residency`.
   */
  memory?: MemoryBudget | Readonly<Record<string, MemoryBudget>> | undefined;
  /**
   * Measure every operation for {@link Model.profile}; threads then wait for each other after each one. Default: false.
   */
  profile?: boolean | undefined;
}

/** {@link Residency} for the native side: a number is a budget. */
type CheckedResidency = 'keep' | 'unload' | number;

/** The options with every default filled in, validated. */
export interface CheckedComputeOptions {
  readonly device: string;
  readonly threads: number;
  readonly precision: (typeof PRECISIONS)[number];
  readonly mmap: boolean;
  readonly residency?: CheckedResidency;
  readonly memory?: CheckedBudgets | undefined;
  readonly profile?: boolean;
  readonly onProgress: ComputeOptions['onProgress'];
  readonly signal: AbortSignal | undefined;
  readonly logger: Logger | undefined;
}

/** The names of precisions. */
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
/** Those of {@link LoadOptions} in addition. */
const MODEL_OPTIONS: readonly (keyof LoadOptions)[] = [
  'type',
  'tensorTypeRules',
  'prediction',
  'zeroTerminalSnr',
  'flowShift',
  'residency',
  'memory',
  'profile',
];
const MAX_THREADS = 512;

/**
 * Checks the options for loading a network other than a model.
 *
 * @throws TypeError or RangeError with all problems.
 */
export function checkNetworkOptions(options: unknown, addon: NativeAddon): CheckedComputeOptions {
  const check = new OptionCheck(options, COMPUTE_OPTIONS);
  const checked = checkComputeOptions(check, addon);
  check.done();
  return checked;
}

/**
 * Checks the options for loading a model.
 *
 * @throws TypeError or RangeError with all problems.
 */
export function checkLoadOptions(options: unknown, addon: NativeAddon) {
  const check = new OptionCheck(options, [...COMPUTE_OPTIONS, ...MODEL_OPTIONS]);
  const computing = checkComputeOptions(check, addon);
  const nameOf = (name: string) => deviceNamed(name, addon.devices())?.name ?? name;
  const memory = checkMemory(check, computing.device, nameOf);
  const checked = {
    ...computing,
    types: checkTypes(check),
    memory,
    prediction:
      check.value('prediction') === undefined ? undefined : check.name('prediction', 'epsilon', PREDICTION_TYPES),
    zeroTerminalSnr: check.value('zeroTerminalSnr') === undefined ? undefined : check.boolean('zeroTerminalSnr', false),
    flowShift:
      check.value('flowShift') === undefined ? undefined : check.number('flowShift', 1, { min: 1e-3, max: 1e3 }),
    // Plans decide: nothing is loaded before the first of them.
    residency: memory ? ('unload' as const) : checkResidency(check),
    profile: check.boolean('profile', false),
  };
  if (memory && check.value('residency') !== undefined) {
    check.problem({ name: 'residency', expected: 'none with a budget of memory, which decides it,', received: 'one' });
  }
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

/** Checks the options for loading any network; `check` collects the problems. */
export function checkComputeOptions(check: OptionCheck, addon: NativeAddon): CheckedComputeOptions {
  const threads = { min: 1, max: MAX_THREADS, integer: true };
  const logger = check.object<Logger>('logger');
  return {
    device: checkDevice(check, addon, logger),
    threads: check.number('threads', Math.min(addon.cores, MAX_THREADS), threads),
    precision: check.name('precision', 'auto', PRECISIONS),
    mmap: check.boolean('mmap', true),
    onProgress: check.callback<(progress: NativeProgress) => void>('onProgress'),
    signal: check.signal(),
    logger,
  };
}
