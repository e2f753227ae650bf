// What can be known without opening a model: the devices of the machine, and what a file's headers say.

import { callNative } from '../native/call.ts';
import type { NativeDevice, NativeInspection } from '../native/contract.ts';
import { loadAddon } from '../native/load.ts';
import { OptionCheck } from '../options/check.ts';
import { checkSource, type ModelSource } from './source.ts';

/**
 * The devices that {@link loadModel} can put a model on, by the backends of this build.
 *
 * @throws DiffusionError `ERR_BINARY` where the native addon does not load.
 */
export function listDevices(): NativeDevice[] {
  return loadAddon().devices();
}

/**
 * Reads the headers of a model's files: family, components, types, parameter counts, missing and unused tensors. No weights
 * are read, so it takes milliseconds for files of any size.
 *
 * @param source path of a model, or the paths of its parts.
 * @throws DiffusionError `ERR_FILE` or `ERR_MODEL_CORRUPT` where a file cannot be read or contradicts itself. A sound file that
 *   is no model of a known family is no error: its `family` is undefined, and `kind` says what else it is.
 * @throws `signal.reason` once the signal has fired.
 */
export async function inspectModel(
  source: string | ModelSource,
  options: { signal?: AbortSignal } = {},
): Promise<NativeInspection> {
  const files = checkSource(source);
  const check = new OptionCheck(options, ['signal']);
  const signal = check.signal();
  check.done();
  const addon = loadAddon();
  return callNative(addon, signal, (cancellation) => addon.inspect(files, cancellation));
}
