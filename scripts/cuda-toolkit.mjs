#!/usr/bin/env node
// Puts a CUDA toolkit together where there is none: compiler, headers and libraries of NVIDIA's Python packages, 1.3 GB.
// It needs Python 3 with pip and a C++ compiler, but no GPU and no driver.
//
//   node scripts/cuda-toolkit.mjs [FOLDER]   default: build/cuda-toolkit

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Versions of one release of CUDA, for GPUs from Turing (7.5) to Blackwell (12.0). */
const PACKAGES = [
  'nvidia-cuda-nvcc==13.5.37',
  'nvidia-nvvm==13.5.37',
  'nvidia-cuda-crt==13.5.37',
  'nvidia-cuda-runtime==13.5.37',
  'nvidia-cuda-cccl==13.3.5.0.6',
  'nvidia-cuda-culibos==13.5.25',
  'nvidia-cublas==13.10.0.20',
];
/** Where the packages keep their files. */
const INSIDE = 'nvidia/cu13';

/** Functions of the driver that ggml's CUDA backend calls. */
const DRIVER_FUNCTIONS = [
  'cuDeviceGet',
  'cuDeviceGetAttribute',
  'cuGetErrorString',
  'cuMemAddressFree',
  'cuMemAddressReserve',
  'cuMemCreate',
  'cuMemGetAllocationGranularity',
  'cuMemMap',
  'cuMemRelease',
  'cuMemSetAccess',
  'cuMemUnmap',
];

/** Makes the toolkit in a folder, unless it is there. It appears whole or not at all. */
export function makeCudaToolkit(folder) {
  if (existsSync(join(folder, 'bin/nvcc'))) return;
  mkdirSync(dirname(folder), { recursive: true });
  const temporary = mkdtempSync(`${folder}-`);
  try {
    python('pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--dest', temporary, ...PACKAGES);
    for (const name of readdirSync(temporary)) python('zipfile', '-e', join(temporary, name), join(temporary, 'files'));
    const toolkit = join(temporary, 'files', INSIDE);
    for (const programs of ['bin', 'nvvm/bin']) {
      for (const name of readdirSync(join(toolkit, programs))) chmodSync(join(toolkit, programs, name), 0o755);
    }
    linkLibraries(join(toolkit, 'lib'));
    makeDriverStub(join(toolkit, 'lib'));
    symlinkSync('lib', join(toolkit, 'lib64'));
    renameSync(toolkit, folder);
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

function python(module, ...args) {
  execFileSync('python3', ['-m', module, ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
}

/** The names without a version that linkers look for, which the packages leave out. */
function linkLibraries(folder) {
  for (const name of readdirSync(folder)) {
    const plain = name.replace(/\.so\.[\d.]+$/, '.so');
    if (plain !== name && !existsSync(join(folder, plain))) symlinkSync(name, join(folder, plain));
  }
}

/** Something to link to in place of the driver's library, which comes with the driver. */
function makeDriverStub(folder) {
  mkdirSync(join(folder, 'stubs'));
  const source = join(folder, 'stubs/cuda.c');
  writeFileSync(source, `${DRIVER_FUNCTIONS.map((name) => `int ${name}(void) { return 100; }`).join('\n')}\n`);
  const library = join(folder, 'stubs/libcuda.so');
  execFileSync('cc', ['-shared', '-fPIC', '-Wl,-soname,libcuda.so.1', source, '-o', library], { stdio: 'inherit' });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = resolve(process.argv[2] ?? join(root, 'build/cuda-toolkit'));
  try {
    makeCudaToolkit(folder);
    console.log(`CUDA toolkit: ${folder}`);
    console.log(`CUDACXX=${join(folder, 'bin/nvcc')} CUDAToolkit_ROOT=${folder} node scripts/build.mjs --cuda`);
  } catch (error) {
    console.error(
      `node-diffusion: No CUDA toolkit could be made. It needs python3 with pip, network access and cc. ${error.message}`,
    );
    process.exitCode = 1;
  }
}
