#!/usr/bin/env node
// Builds the native side through cmake-js.
//
//   node scripts/build.mjs [--cuda] [--vulkan] [--metal]   the addon for this machine, in build/Release
//   node scripts/build.mjs --tests                          adds the native tests, keeping the backends of the last build
//   node scripts/build.mjs --preset NAME                    another preset of CMakePresets.json: debug, asan, tsan, portable
//
// NODE_DIFFUSION_CMAKE_ARGS adds arguments for CMake, for example "-DGGML_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=89".

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fetchGgml } from '../vendor/fetch.mjs';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const backends = ['cuda', 'vulkan', 'metal'];

/** CMake's variables and the build folder of a preset. cmake-js has no presets of its own. */
function readPreset(name) {
  const text = readFileSync(join(root, 'CMakePresets.json'), 'utf8');
  const presets = JSON.parse(text.replace(/\$\{sourceDir\}/g, root.replaceAll('\\', '/'))).configurePresets;
  const preset = presets.find((other) => other.name === name);
  if (preset) return { folder: preset.binaryDir, variables: preset.cacheVariables };
  throw new Error(`Expected ${presets.map((other) => other.name).join(', ')} for --preset but received '${name}'.`);
}

/** Configures and builds; throws where that fails. `flags` are the long options above. Returns the build folder. */
export function build(flags = {}) {
  const { folder, variables } = readPreset(flags.preset ?? 'release');
  fetchGgml();
  const chosen = flags.tests
    ? { DIFFUSION_TESTS: 'ON' }
    : Object.fromEntries(backends.map((name) => [`GGML_${name.toUpperCase()}`, flags[name] ? 'ON' : 'OFF']));
  const given = (process.env.NODE_DIFFUSION_CMAKE_ARGS ?? '').split(/\s+/).filter(Boolean);
  const defines = [
    ...Object.entries({ ...variables, ...chosen }).map(([name, value]) => `--CD${name}=${value}`),
    ...given.map((argument) => argument.replace(/^-D/, '--CD')),
  ];
  const common = ['--directory', root, '--out', folder, '--config', variables.CMAKE_BUILD_TYPE];
  cmakeJs(['configure', ...common, ...defines]);
  cmakeJs(['build', ...common, '--parallel', String(availableParallelism())]);
  return folder;
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
  const switches = [...backends, 'tests'].map((name) => [name, { type: 'boolean' }]);
  try {
    const { values } = parseArgs({ options: { ...Object.fromEntries(switches), preset: { type: 'string' } } });
    build(values);
  } catch (error) {
    console.error(`node-diffusion: ${error.message}`);
    process.exitCode = 1;
  }
}
