// The device of a network: names as users write them, and what `auto` chooses.

import { DiffusionError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { NativeAddon, NativeDevice } from '../native/contract.ts';
import { describeProblem, type GpuLibrary, loadGpuLibraries } from '../native/gpu-libraries.ts';
import { findAddon } from '../native/load.ts';
import { gpuPackage } from '../native/platform-package.ts';
import type { OptionCheck } from '../options/check.ts';

/** The backends of GPUs that ggml has. */
const GPU_BACKENDS = ['cuda', 'vulkan', 'metal', 'hip', 'sycl', 'musa', 'opencl', 'cann'];
const DEVICE_NAME = /^([a-z]+):?(\d*)$/;

/** All devices, and the libraries of backends that were found. */
export function findDevices(addon: NativeAddon): { devices: NativeDevice[]; libraries: GpuLibrary[] } {
  const libraries = loadGpuLibraries(addon, findAddon());
  return { devices: addon.devices(), libraries };
}

/**
 * The device that a name stands for: `cuda0`, `cuda:0`, or `cuda` for the first of its kind. A GPU that is a program is
 * the last of them.
 */
export function deviceNamed(name: string, devices: readonly NativeDevice[]): NativeDevice | undefined {
  const usable = devices.filter(({ type }) => type !== 'accelerator');
  const exact = usable.find((device) => device.name === name);
  if (exact) return exact;
  const [, backend, index = ''] = DEVICE_NAME.exec(name) ?? [];
  const ofKind = usable.filter((device) => device.backend === backend);
  if (index !== '') return ofKind[Number(index)];
  return ofKind.find(({ software }) => !software) ?? ofKind[0];
}

/**
 * Checks the option `device` and returns the name of a device. Libraries of GPUs are tried unless it is `cpu`.
 *
 * @throws DiffusionError `ERR_DEVICE` if this machine does not have the device.
 */
export function checkDevice(check: OptionCheck, addon: NativeAddon, logger: Logger | undefined): string {
  const value = check.value('device') ?? 'auto';
  if (value === 'cpu') return 'cpu';
  const { devices, libraries } = findDevices(addon);
  const unused = libraries.filter(({ problem }) => problem !== undefined);
  if (value === 'auto') {
    for (const library of unused) logger?.[library.broken ? 'warn' : 'info']?.(describeProblem(library));
    return devices.find(({ type, software }) => type === 'gpu' && !software)?.name ?? 'cpu';
  }
  const found = typeof value === 'string' ? deviceNamed(value, devices) : undefined;
  if (found) return found.name;
  const names = devices.filter(({ type }) => type !== 'accelerator').map(({ name }) => name);
  const [, backend = ''] = (typeof value === 'string' && DEVICE_NAME.exec(value)) || [];
  if (backend === 'cpu' || GPU_BACKENDS.includes(backend)) throw missingDevice(String(value), backend, names, unused);
  return check.name('device', 'cpu', ['auto', ...names]);
}

function missingDevice(name: string, backend: string, names: readonly string[], unused: readonly GpuLibrary[]) {
  const there = `Expected a device that there is (${names.join(', ')}) but received '${name}'`;
  const reasons = unused.map((library) => `${describeProblem(library)}. `).join('');
  const absent = unused.some((library) => library.backend === backend) || names.some((one) => one.startsWith(backend));
  const ownPackage = gpuPackage(backend);
  const remedy = absent
    ? ''
    : `This build has no backend for ${backend}. ${ownPackage ? `Install ${ownPackage}. ` : ''}`;
  return new DiffusionError('ERR_DEVICE', `${there}. ${remedy}${reasons}Pass another device, or 'auto' for the best`);
}
