// Builds the addon for any machine of this platform and lays it out as node-gyp-build looks for it:
//
//   prebuilds/<platform>-<arch>/node-diffusion[.<libc>].node   with the libraries of ggml next to it
//
// The layout is prebuildify's. That tool itself only drives node-gyp, and this addon is built by CMake.

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { build, root } from './build.mjs';

/** Linux binaries name their C library, because one for glibc does not load on musl. */
function libcTag() {
  if (process.platform !== 'linux') return '';
  return existsSync('/etc/alpine-release') ? '.musl' : '.glibc';
}

/** Removes the symbols that only a debugger reads. */
function strip(file) {
  if (process.platform === 'win32') return;
  const options = process.platform === 'darwin' ? ['-Sx'] : ['--strip-unneeded'];
  const { status } = spawnSync('strip', [...options, file], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`strip failed on ${file}.`);
}

function packageBinary() {
  const built = join(build({ preset: 'portable' }), 'Release');
  const target = join(root, 'prebuilds', `${process.platform}-${process.arch}`);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(built).filter((file) => /\.(node|so|dylib|dll)$/.test(file))) {
    const file = join(target, name.replace(/\.node$/, `${libcTag()}.node`));
    copyFileSync(join(built, name), file);
    strip(file);
    console.log(`${file}  ${Math.ceil(statSync(file).size / 1024)} KiB`);
  }
}

try {
  packageBinary();
} catch (error) {
  console.error(`node-diffusion: ${error.message}`);
  process.exitCode = 1;
}
