// `diffuse devices` and `diffuse inspect gpu`: the devices that models can run on, and what was found but is not used.

import { listDevices, listGpuLibraries } from '../loading/inspect.ts';
import type { NativeDevice } from '../native/contract.ts';
import { describeProblem } from '../native/gpu-libraries.ts';
import type { CommandLine } from './command-line.ts';
import { print, printJson } from './standard-output.ts';
import { formatBytes, formatTable } from './units.ts';

export async function runDevices({ flags }: CommandLine): Promise<void> {
  const devices = listDevices();
  await (flags.json ? printJson(devices) : print(describeDevices(devices)));
}

export async function inspectGpu({ flags }: CommandLine): Promise<void> {
  const devices = listDevices();
  await (flags.json ? printJson({ devices, libraries: listGpuLibraries() }) : print(describeDevices(devices)));
}

function describeDevices(devices: readonly NativeDevice[]): string {
  const unused = listGpuLibraries().filter(({ problem }) => problem !== undefined);
  const lines = [formatTable(devices.map(toRow)), ...unused.map(describeProblem)];
  return `${lines.join('\n')}\n`;
}

function toRow({ name, type, software, memoryFree, memoryTotal, description, features }: NativeDevice): string[] {
  const memory = memoryTotal > 0 ? `${formatBytes(memoryFree)} of ${formatBytes(memoryTotal)} free` : '';
  return [name, software ? 'software, only if asked for' : type, memory, description, features.join(' ')];
}
