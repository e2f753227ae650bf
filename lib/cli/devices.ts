// `diffuse devices`: lists the devices that models can run on.

import { listDevices } from '../loading/inspect.ts';
import type { NativeDevice } from '../native/contract.ts';
import type { CommandLine } from './command-line.ts';
import { print, printJson } from './standard-output.ts';
import { formatBytes, formatTable } from './units.ts';

export async function runDevices({ flags }: CommandLine): Promise<void> {
  const devices = listDevices();
  await (flags.json ? printJson(devices) : print(`${formatTable(devices.map(toRow))}\n`));
}

function toRow({ name, type, memoryFree, memoryTotal, description, features }: NativeDevice): string[] {
  const memory = memoryTotal > 0 ? `${formatBytes(memoryFree)} of ${formatBytes(memoryTotal)} free` : '';
  return [name, type, memory, description, features.join(' ')];
}
