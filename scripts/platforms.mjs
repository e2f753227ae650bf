// The platforms with a package of their own, how their addons are built, and the module that is in each.

import { existsSync } from 'node:fs';

/**
 * What npm needs to choose a package, and how its addon is built: by the compiler of that platform, or by a cross
 * compiler (`cross`: a preset of CMakePresets.json and its programs). `glibc` is the newest version that an addon may need, and
 * `gpus` are the backends that have packages of their own.
 */
export const PLATFORMS = [
  { name: 'linux-x64', os: 'linux', cpu: 'x64', libc: 'glibc', glibc: '2.34', gpus: ['vulkan', 'cuda'] },
  { name: 'linux-x64-musl', os: 'linux', cpu: 'x64', libc: 'musl' },
  {
    name: 'linux-arm64',
    os: 'linux',
    cpu: 'arm64',
    libc: 'glibc',
    glibc: '2.34',
    cross: { preset: 'portable-linux-arm64', compiler: 'aarch64-linux-gnu-g++', strip: 'aarch64-linux-gnu-strip' },
  },
  { name: 'darwin-arm64', os: 'darwin', cpu: 'arm64' },
  { name: 'darwin-x64', os: 'darwin', cpu: 'x64' },
  { name: 'win32-x64', os: 'win32', cpu: 'x64' },
];

/** Exports the package's folder. Tools that collect a program's files follow the path to the binaries. */
export const PLATFORM_INDEX = `require('node:path').join(__dirname, 'prebuilds');
module.exports = __dirname;
`;

/** The name of this machine's platform, whether or not it has a package. */
export const ownPlatform = `${process.platform}-${process.arch}${existsSync('/etc/alpine-release') ? '-musl' : ''}`;

/** The packages with GPUs' backends. Their platforms' packages have the rest. */
export const GPU_PACKAGES = PLATFORMS.flatMap(({ gpus = [], cross, ...platform }) =>
  gpus.map((backend) => ({ ...platform, name: `${platform.name}-${backend}`, backend })),
);

/** The file name of a GPU's backend. */
export const GPU_LIBRARY = /^(?:lib)?ggml-(vulkan|cuda)\.(?:so|dll)$/;

/** Where the addon and its libraries lie in a package, as prebuildify lays them out. */
export function prebuildsOf({ os, cpu }) {
  return `prebuilds/${os}-${cpu}`;
}

/** The addon's file name. On Linux it has the C library, because an addon for glibc does not load on musl. */
export function addonOf({ libc }) {
  return `node-diffusion${libc ? `.${libc}` : ''}.node`;
}
