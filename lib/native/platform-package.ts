// The packages with prebuilt addons, one for each platform, and those with ggml's backends for GPUs. The former are optional
// dependencies of the published package, so that package managers install the one that fits; users install the latter.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { packageFolder, unpacked } from '../core/package-files.ts';
import { libcName } from './libc.ts';

const require = createRequire(import.meta.url);

/** The packages, and how each is resolved. */
const PACKAGES: Readonly<Record<string, () => unknown>> = {
  // Names are written out because tools that collect a program's files (@vercel/nft of Next.js, Vercel, Nitro) follow
  // these calls, and not that of a name that is made while the program runs.
  'linux-x64': () => require('@node-diffusion/linux-x64'),
  'linux-x64-musl': () => require('@node-diffusion/linux-x64-musl'),
  'linux-arm64': () => require('@node-diffusion/linux-arm64'),
  'darwin-arm64': () => require('@node-diffusion/darwin-arm64'),
  'darwin-x64': () => require('@node-diffusion/darwin-x64'),
  'win32-x64': () => require('@node-diffusion/win32-x64'),
  'linux-x64-vulkan': () => require('@node-diffusion/linux-x64-vulkan'),
  'linux-x64-cuda': () => require('@node-diffusion/linux-x64-cuda'),
};
/** Metal is in the package of the platform. */
const GPU_BACKENDS = ['cuda', 'vulkan'];

/** What package.json has once it is published. */
interface Manifest {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

function platform(): string {
  return `${process.platform}-${process.arch}${libcName() === 'musl' ? '-musl' : ''}`;
}

/** Name of the package for this platform; undefined if this version of node-diffusion has none. */
export function platformPackage(): string | undefined {
  return published(platform());
}

/** Name of the package that has a GPU's backend for this platform; undefined if there is none. */
export function gpuPackage(backend: string): string | undefined {
  return published(`${platform()}-${backend}`);
}

/** The folder of the package for this platform; undefined if it is not installed. */
export function platformFolder(): string | undefined {
  return folderOf(platform());
}

/** The folders with the backends of GPUs whose packages are installed. */
export function gpuFolders(): string[] {
  const folders = GPU_BACKENDS.map((backend) => folderOf(`${platform()}-${backend}`));
  return folders
    .filter((folder) => folder !== undefined)
    .map((folder) => unpacked(join(folder, 'prebuilds', `${process.platform}-${process.arch}`)));
}

function published(suffix: string): string | undefined {
  const name = `@node-diffusion/${suffix}`;
  const manifest = JSON.parse(readFileSync(join(packageFolder(), 'package.json'), 'utf8')) as Manifest;
  return name in { ...manifest.optionalDependencies, ...manifest.peerDependencies } ? name : undefined;
}

function folderOf(suffix: string): string | undefined {
  try {
    return PACKAGES[suffix]?.() as string | undefined;
  } catch {
    return undefined;
  }
}
