#!/usr/bin/env node
// Builds the native side through cmake-js.
//
//   node scripts/build.mjs [--cuda] [--vulkan] [--metal]   the addon for this machine, in build/Release
//   node scripts/build.mjs --tests                          adds the native tests, keeping the backends of the last build
//   node scripts/build.mjs --sanitize=address               the native tests with ASan and UBSan, in build-asan
//   node scripts/build.mjs --sanitize=thread                those that start threads with TSan, in build-tsan
//   node scripts/build.mjs --prebuild                       the addon for any machine of this platform, in build-prebuild
//
// NODE_DIFFUSION_CMAKE_ARGS adds arguments for CMake, for example "-DGGML_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=89".

import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fetchGgml } from '../vendor/fetch.mjs';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const backends = ['cuda', 'vulkan', 'metal'];

/** The folder of the build with each. */
const sanitizers = { address: 'build-asan', thread: 'build-tsan' };

/** CMake's variables for the flags of the command line. */
function variables(flags) {
  const on = (value) => (value ? 'ON' : 'OFF');
  if (flags.sanitize) {
    if (!(flags.sanitize in sanitizers)) {
      throw new Error(`Expected address or thread for --sanitize but received '${flags.sanitize}'.`);
    }
    return { DIFFUSION_ADDON: 'OFF', DIFFUSION_TESTS: 'ON', DIFFUSION_SANITIZE: flags.sanitize };
  }
  if (flags.tests) return { DIFFUSION_TESTS: 'ON' };
  const chosen = Object.fromEntries(backends.map((name) => [`GGML_${name.toUpperCase()}`, on(flags[name])]));
  return { ...chosen, DIFFUSION_PREBUILD: on(flags.prebuild) };
}

/** Configures and builds; throws where that fails. `flags` are the long options above. */
export function build(flags = {}) {
  fetchGgml();
  const folder = flags.sanitize ? sanitizers[flags.sanitize] : flags.prebuild ? 'build-prebuild' : 'build';
  const given = (process.env.NODE_DIFFUSION_CMAKE_ARGS ?? '').split(/\s+/).filter(Boolean);
  const defines = [
    ...Object.entries(variables(flags)).map(([name, value]) => `--CD${name}=${value}`),
    ...given.map((argument) => argument.replace(/^-D/, '--CD')),
  ];
  const common = [
    '--directory',
    root,
    '--out',
    join(root, folder),
    '--config',
    flags.sanitize ? 'RelWithDebInfo' : 'Release',
  ];
  cmakeJs(['configure', ...common, ...defines]);
  cmakeJs(['build', ...common, '--parallel', String(availableParallelism())]);
  return join(root, folder);
}

function cmakeJs(args) {
  const program = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
  const { status, signal } = spawnSync(process.execPath, [program, ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) {
    throw new Error(
      `The native build failed (cmake-js ${args[0]}: ${signal ?? `exit code ${status}`}). It needs CMake 3.18 or newer and ` +
        'a C++20 compiler (Debian: apt-get install cmake g++).',
    );
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const switches = [...backends, 'tests', 'prebuild'].map((name) => [name, { type: 'boolean' }]);
  try {
    const { values } = parseArgs({ options: { ...Object.fromEntries(switches), sanitize: { type: 'string' } } });
    build(values);
  } catch (error) {
    console.error(`node-diffusion: ${error.message}`);
    process.exitCode = 1;
  }
}
