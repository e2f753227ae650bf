// Information without opening a model: the devices of the machine, and the headers of files.

import { callNative } from '../native/call.ts';
import type { NativeDevice, NativeInspection } from '../native/contract.ts';
import type { GpuLibrary } from '../native/gpu-libraries.ts';
import { loadAddon } from '../native/load.ts';
import { OptionCheck } from '../options/check.ts';
import { findDevices } from './device.ts';
import { checkSource, type ModelSource } from './source.ts';

/**
 * Lists the devices that {@link loadModel} can use with the backends of this build. Those of GPUs are first tried in a
 * process of their own.
 *
 * @throws DiffusionError `ERR_BINARY` if the native addon does not load.
 */
export function listDevices(): NativeDevice[] {
  return findDevices(loadAddon()).devices;
}

/**
 * Lists the libraries of GPU backends that are installed, with their devices or why they are not used.
 *
 * @throws DiffusionError `ERR_BINARY` if the native addon does not load.
 */
export function listGpuLibraries(): GpuLibrary[] {
  return findDevices(loadAddon()).libraries;
}

/**
 * Reads the headers of a model's files: family, components, types, parameter counts, missing and unused tensors. No
 * weights are read, so it takes milliseconds for files of any size.
 *
 * @param source path of a model, or the paths of its parts.
 * @throws DiffusionError `ERR_FILE` or `ERR_MODEL_CORRUPT` if a file cannot be read or contradicts itself. A valid file
 *   that is not a model of a known family is not an error: its `family` is undefined, and `kind` says what else it is.
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
