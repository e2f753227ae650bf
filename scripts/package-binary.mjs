// Builds the addon for any machine of a platform and lays it out in the platform's package, as node-gyp-build looks for it:
//
//   packages/<name>/prebuilds/<platform>-<arch>/node-diffusion[.<libc>].node   with the libraries of ggml next to it
//
//   node scripts/package-binary.mjs [--vulkan] [--cuda]   this platform; GPUs' backends go into packages of their own
//   node scripts/package-binary.mjs --platform NAME       one that a cross compiler builds for: linux-arm64
//
// The layout is prebuildify's. That tool itself only drives node-gyp, and this addon is built by CMake.

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build, root } from './build.mjs';
import { addonOf, GPU_LIBRARY, ownPlatform, PLATFORMS, prebuildsOf } from './platforms.mjs';

/** The platforms whose addons this machine may build. */
const BUILDABLE = PLATFORMS.filter(({ name, cross }) => name === ownPlatform || cross);

/** Removes the symbols that only a debugger reads. */
function removeSymbols(program, file) {
  if (process.platform === 'win32') return;
  const options = process.platform === 'darwin' ? ['-Sx'] : ['--strip-unneeded'];
  const { status } = spawnSync(program, [...options, file], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${program} failed on ${file}.`);
}

/** Copies a built file into a package, without its symbols. */
function place(file, strip, name, platform, as = basename(file)) {
  const copy = join(root, 'packages', name, prebuildsOf(platform), as);
  mkdirSync(dirname(copy), { recursive: true });
  copyFileSync(file, copy);
  removeSymbols(strip, copy);
  console.log(`${copy}  ${Math.ceil(statSync(copy).size / 1024)} KiB`);
}

/** Builds the addon of one of {@link PLATFORMS} with backends of GPUs; throws where that fails. */
export function packageBinary(name, gpus = []) {
  const platform = BUILDABLE.find((one) => one.name === name);
  if (!platform) {
    const names = BUILDABLE.map((one) => one.name);
    throw new Error(`Expected ${names.join(' or ')} for --platform but received '${name}'.`);
  }
  const { preset, strip } = name === ownPlatform ? { preset: 'portable', strip: 'strip' } : platform.cross;
  // Apple's GPUs have no package of their own: all machines have one.
  const backends = [...gpus, ...(name === 'darwin-arm64' ? ['metal'] : [])];
  const built = join(build({ preset, ...Object.fromEntries(backends.map((one) => [one, true])) }), 'Release');
  rmSync(join(root, 'packages', name), { recursive: true, force: true });
  for (const file of readdirSync(built).filter((one) => /\.(node|so|dylib|dll)$/.test(one))) {
    const gpu = GPU_LIBRARY.exec(file)?.[1];
    if (!gpu) place(join(built, file), strip, name, platform, file.endsWith('.node') ? addonOf(platform) : file);
    // Another build may have left one there.
    else if (gpus.includes(gpu)) place(join(built, file), strip, `${name}-${gpu}`, platform);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const gpus = ['vulkan', 'cuda'];
    const switches = Object.fromEntries(gpus.map((gpu) => [gpu, { type: 'boolean' }]));
    const options = { platform: { type: 'string', default: ownPlatform }, ...switches };
    const { platform, ...chosen } = parseArgs({ options }).values;
    packageBinary(platform, Object.keys(chosen));
  } catch (error) {
    console.error(`node-diffusion: ${error.message}`);
    process.exitCode = 1;
  }
}
