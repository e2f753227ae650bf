// The packages with prebuilt addons, one for each platform. They are optional dependencies of the published package, so
// that package managers install the one that fits.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { packageFolder } from '../core/package-files.ts';
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
};

/** What package.json has once it is published. */
interface Manifest {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

function platform(): string {
  return `${process.platform}-${process.arch}${libcName() === 'musl' ? '-musl' : ''}`;
}

/** Name of the package for this platform; undefined if this version of node-diffusion has none. */
export function platformPackage(): string | undefined {
  const name = `@node-diffusion/${platform()}`;
  const manifest = JSON.parse(readFileSync(join(packageFolder(), 'package.json'), 'utf8')) as Manifest;
  return manifest.optionalDependencies && Object.hasOwn(manifest.optionalDependencies, name) ? name : undefined;
}

/** The folder of that package; undefined if it is not installed. */
export function platformFolder(): string | undefined {
  try {
    return PACKAGES[platform()]?.() as string | undefined;
  } catch {
    return undefined;
  }
}
