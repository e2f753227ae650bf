// Finds the native addon for this platform and loads it, or says how to mend the installation.

import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DiffusionError } from '../errors.ts';
import type { NativeAddon } from './contract.ts';

const require = createRequire(import.meta.url);

/** The folder with package.json, seen from dist/lib/native/. */
const packageRoot = fileURLToPath(new URL('../../../', import.meta.url));

/**
 * Loads the addon: a build on this machine (`build/Release`, `build/Debug`) before a prebuilt one
 * (`prebuilds/<platform>-<arch>`). The environment variable `NODE_DIFFUSION_PREBUILD` names another folder to look in.
 * Node keeps a loaded addon, so that each later call returns the same one.
 *
 * @throws DiffusionError `ERR_BINARY` where no binary is found or the one that is found does not load
 */
export function loadAddon(): NativeAddon {
  let path: string;
  try {
    path = (require('node-gyp-build') as { resolve(folder: string): string }).resolve(packageRoot);
  } catch (cause) {
    throw binaryError('no binary for this platform was found', cause);
  }
  try {
    return require(path) as NativeAddon;
  } catch (cause) {
    throw binaryError(`${path} does not load: ${(cause as Error).message}`, cause);
  }
}

function placesSearched(): string[] {
  const folder = process.env.NODE_DIFFUSION_PREBUILD || packageRoot;
  const prebuilds = join('prebuilds', `${process.platform}-${process.arch}`);
  return [
    join(folder, 'build', 'Release'),
    join(folder, 'build', 'Debug'),
    join(folder, prebuilds),
    join(dirname(process.execPath), prebuilds),
  ];
}

function binaryError(reason: string, cause: unknown): DiffusionError {
  const libc = libcName();
  const lines = [
    `The native addon of node-diffusion could not be loaded: ${reason}`,
    `Platform: ${process.platform}-${process.arch}${libc ? `-${libc}` : ''}, Node ${process.version}`,
    `Searched: ${placesSearched().join(', ')}`,
    `To mend it: ${mendingCommand()}`,
  ];
  return new DiffusionError('ERR_BINARY', lines.join('\n  '), { cause });
}

/** A package under node_modules is rebuilt from the project that depends on it, a clone from its own folder. */
function mendingCommand(): string {
  const installed = packageRoot.split(sep).includes('node_modules');
  const command = installed ? 'npm rebuild node-diffusion' : 'npm run build';
  return `run "${command}", which needs CMake and a C++20 compiler where no prebuilt binary fits (${compilerHint()})`;
}

function compilerHint(): string {
  if (process.platform === 'darwin') return 'macOS: xcode-select --install; brew install cmake';
  if (process.platform === 'win32') return 'Windows: Visual Studio Build Tools with the C++ workload, and CMake';
  return 'Debian, Ubuntu: apt-get install cmake g++';
}

/** `glibc` or `musl` on Linux; undefined elsewhere. */
function libcName(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime ? 'glibc' : 'musl';
}
