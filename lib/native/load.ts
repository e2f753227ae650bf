// Finds and loads the native addon for this platform, or explains how to fix the installation.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { DiffusionError } from '../core/errors.ts';
import { packageFolder, prebuildsFolder, unpacked } from '../core/package-files.ts';
import type { NativeAddon } from './contract.ts';
import { CONTRACT_VERSION } from './contract-version.ts';
import { installHint } from './install-hint.ts';
import { libcName } from './libc.ts';
import { platformFolder, platformPackage } from './platform-package.ts';

/**
 * Loads the addon: a build on this machine (`build/Release`, `build/Debug`) before a prebuilt one
 * (`prebuilds/<platform>-<arch>`), here before the package for this platform (`@node-diffusion/linux-x64`, ...). The
 * environment variable `NODE_DIFFUSION_PREBUILD` names another folder to look in. Node caches a loaded addon, so later
 * calls return the same one.
 *
 * @throws DiffusionError `ERR_BINARY` if no binary is found, it does not load or was built from another version, or a
 *   bundler has bundled this package.
 */
export function loadAddon(): NativeAddon {
  const root = packageRoot();
  const path = findAddon(root);
  let addon: NativeAddon;
  try {
    addon = createRequire(import.meta.url)(path) as NativeAddon;
  } catch (cause) {
    throw binaryError(root, `${path} does not load: ${(cause as Error).message}`, cause);
  }
  if (addon.contract !== CONTRACT_VERSION) {
    throw binaryError(root, `${path} was built from another version of its sources`);
  }
  return addon;
}

/**
 * The file of the addon that {@link loadAddon} loads.
 *
 * @throws DiffusionError `ERR_BINARY` if there is none.
 */
export function findAddon(root = packageRoot()): string {
  const require = createRequire(import.meta.url);
  const { resolve } = require('node-gyp-build') as { resolve(folder: string): string };
  try {
    return unpacked(resolve(root));
  } catch (cause) {
    const folder = platformFolder();
    if (folder === undefined) throw binaryError(root, 'no binary for this platform was found', cause);
    try {
      return unpacked(resolve(folder));
    } catch (inPackage) {
      throw binaryError(root, `${folder} has no binary for this platform`, inPackage);
    }
  }
}

/** The folder of this package, unless the code was bundled into another. */
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
    'The native addon of node-diffusion could not be loaded: a bundler has bundled the package, which must stay in its own folder.\n' +
      '  To fix it: keep node-diffusion out of the bundle and in node_modules: esbuild --external:node-diffusion, ' +
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
    `To fix it: ${installHint(root)}`,
  ];
  return new DiffusionError('ERR_BINARY', lines.join('\n  '), { cause });
}

function placesSearched(root: string): string[] {
  const folder = process.env.NODE_DIFFUSION_PREBUILD;
  const platform = `${process.platform}-${process.arch}`;
  const name = platformPackage();
  return [
    join(folder || root, 'build', 'Release'),
    join(folder || root, 'build', 'Debug'),
    folder ? join(folder, 'prebuilds', platform) : join(prebuildsFolder(), platform),
    join(dirname(process.execPath), 'prebuilds', platform),
    platformFolder() ?? (name ? `${name} (not installed)` : 'no package, because this platform has none'),
  ];
}
