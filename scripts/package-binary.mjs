// Builds the addon for any machine of a platform and lays it out in the platform's package, as node-gyp-build looks for it:
//
//   packages/<name>/prebuilds/<platform>-<arch>/node-diffusion[.<libc>].node   with the libraries of ggml next to it
//
//   node scripts/package-binary.mjs [--platform NAME]   this platform, or one that a cross compiler builds for: linux-arm64
//
// The layout is prebuildify's. That tool itself only drives node-gyp, and this addon is built by CMake.

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build, root } from './build.mjs';
import { addonOf, ownPlatform, PLATFORMS, prebuildsOf } from './platforms.mjs';

/** The platforms whose addons this machine may build. */
const BUILDABLE = PLATFORMS.filter(({ name, cross }) => name === ownPlatform || cross);

/** Removes the symbols that only a debugger reads. */
function removeSymbols(program, file) {
  if (process.platform === 'win32') return;
  const options = process.platform === 'darwin' ? ['-Sx'] : ['--strip-unneeded'];
  const { status } = spawnSync(program, [...options, file], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${program} failed on ${file}.`);
}

/** Builds the addon of one of {@link PLATFORMS}; throws where that fails. */
export function packageBinary(name) {
  const platform = BUILDABLE.find((one) => one.name === name);
  if (!platform) {
    const names = BUILDABLE.map((one) => one.name);
    throw new Error(`Expected ${names.join(' or ')} for --platform but received '${name}'.`);
  }
  const { preset, strip } = name === ownPlatform ? { preset: 'portable', strip: 'strip' } : platform.cross;
  const built = join(build({ preset }), 'Release');
  const target = join(root, 'packages', name, prebuildsOf(platform));
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const file of readdirSync(built).filter((one) => /\.(node|so|dylib|dll)$/.test(one))) {
    const copy = join(target, file.endsWith('.node') ? addonOf(platform) : file);
    copyFileSync(join(built, file), copy);
    removeSymbols(strip, copy);
    console.log(`${copy}  ${Math.ceil(statSync(copy).size / 1024)} KiB`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    packageBinary(parseArgs({ options: { platform: { type: 'string', default: ownPlatform } } }).values.platform);
  } catch (error) {
    console.error(`node-diffusion: ${error.message}`);
    process.exitCode = 1;
  }
}
