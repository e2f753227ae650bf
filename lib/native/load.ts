// Finds the native addon for this platform and loads it, or says how to mend the installation.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { DiffusionError } from '../core/errors.ts';
import { packageFolder, prebuildsFolder } from '../core/package-files.ts';
import type { NativeAddon } from './contract.ts';
import { CONTRACT_VERSION } from './contract-version.ts';
import { mendingCommand } from './mending.ts';

/**
 * Loads the addon: a build on this machine (`build/Release`, `build/Debug`) before a prebuilt one
 * (`prebuilds/<platform>-<arch>`). The environment variable `NODE_DIFFUSION_PREBUILD` names another folder to look in.
 * Node keeps a loaded addon, so that each later call returns the same one.
 *
 * @throws DiffusionError `ERR_BINARY` where no binary is found, the one that is found does not load or is of another version, and where a bundler has
 *   taken this package apart
 */
export function loadAddon(): NativeAddon {
  const root = packageRoot();
  const require = createRequire(import.meta.url);
  let path: string;
  try {
    path = (require('node-gyp-build') as { resolve(folder: string): string }).resolve(root);
  } catch (cause) {
    throw binaryError(root, 'no binary for this platform was found', cause);
  }
  let addon: NativeAddon;
  try {
    addon = require(path) as NativeAddon;
  } catch (cause) {
    throw binaryError(root, `${path} does not load: ${(cause as Error).message}`, cause);
  }
  if (addon.contract !== CONTRACT_VERSION) {
    throw binaryError(root, `${path} was built from another version of its sources`);
  }
  return addon;
}

/** The folder of this package, if that is what it is. */
function packageRoot(): string {
  let cause: unknown;
  try {
    const root = packageFolder();
    const { name } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { name?: unknown };
    if (name === 'node-diffusion') return root;
  } catch (error) {
    cause = error;
  }
  throw new DiffusionError(
    'ERR_BINARY',
    'The native addon of node-diffusion could not be loaded: the package is not in a folder of its own, so a bundler has taken it in.\n' +
      '  To mend it: keep node-diffusion out of the bundle and in node_modules: esbuild --external:node-diffusion, ' +
      "Next.js serverExternalPackages: ['node-diffusion'], Vite build.rollupOptions.external (ssr.external), " +
      "webpack externals: { 'node-diffusion': 'import node-diffusion' }",
    { cause },
  );
}

function binaryError(root: string, reason: string, cause?: unknown): DiffusionError {
  const libc = libcName();
  const lines = [
    `The native addon of node-diffusion could not be loaded: ${reason}`,
    `Platform: ${process.platform}-${process.arch}${libc ? `-${libc}` : ''}, Node ${process.version}`,
    `Searched: ${placesSearched(root).join(', ')}`,
    `To mend it: ${mendingCommand(root)}`,
  ];
  return new DiffusionError('ERR_BINARY', lines.join('\n  '), { cause });
}

function placesSearched(root: string): string[] {
  const folder = process.env.NODE_DIFFUSION_PREBUILD;
  const platform = `${process.platform}-${process.arch}`;
  return [
    join(folder || root, 'build', 'Release'),
    join(folder || root, 'build', 'Debug'),
    folder ? join(folder, 'prebuilds', platform) : join(prebuildsFolder(), platform),
    join(dirname(process.execPath), 'prebuilds', platform),
  ];
}

/** `glibc` or `musl` on Linux; undefined elsewhere. */
function libcName(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime ? 'glibc' : 'musl';
}
