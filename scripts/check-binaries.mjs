// What is wrong with the binaries of a platform's package: files that are not there, foreign libraries, too new a C library, symbols.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { addonOf, ownPlatform } from './platforms.mjs';

/** Libraries that every Linux with Node.js has, and those in the package. */
const SYSTEM_LIBRARIES = {
  glibc: /^(lib(c|m|dl|pthread|rt|stdc\+\+|gcc_s)\.so\.\d+|ld-linux.*)$/,
  musl: /^(libc\.so|libc\.musl-.*|lib(stdc\+\+|gcc_s)\.so\.\d+)$/,
};
const OWN_LIBRARIES = /^lib(node-diffusion-)?ggml.*\.so$/;
/** What the drivers of a GPU or its vendor's packages bring. */
const GPU_LIBRARIES = { vulkan: /^libvulkan\.so\.1$/, cuda: /^lib(cuda|cudart|cublas|cublasLt)\.so\.\d+$/ };

/**
 * Checks the binaries in a folder.
 *
 * @returns the problems, and the versions of system libraries that they need.
 */
export function checkBinaries(platform, folder) {
  const files = readdirSync(folder);
  const problems = expectedFiles(platform)
    .filter((pattern) => !files.some((file) => pattern.test(file)))
    .map((pattern) => `there is no ${pattern.source}`);
  const versions = new Set();
  if (platform.os === 'linux') {
    for (const file of files)
      problems.push(...checkElf(platform, join(folder, file), versions).map((text) => `${file} ${text}`));
  }
  const glibc = newest(versions, 'GLIBC_');
  if (platform.glibc && glibc && compareVersions(glibc, `GLIBC_${platform.glibc}`) > 0) {
    problems.push(`the newest version of a symbol is ${glibc}, above ${platform.glibc}`);
  }
  if (platform.name === ownPlatform) problems.push(...checkLoading(join(folder, addonOf(platform))));
  return {
    problems: problems.map((problem) => `${platform.name}: ${problem}`),
    needs: [glibc, newest(versions, 'GLIBCXX_')].filter(Boolean),
  };
}

/** The addon, ggml, and a CPU backend for machines with the fewest and with more instructions. */
function expectedFiles(platform) {
  if (platform.backend) return [new RegExp(`^(lib)?ggml-${platform.backend}\\.(so|dll)$`)];
  const variants = { x64: ['x64', 'sse42', 'haswell', 'skylakex'], arm64: ['armv8.0_1', 'armv8.2_2', 'armv8.6_1'] };
  const library = (name) => new RegExp(`^(lib)?${name.replace('.', '\\.')}\\.(so|dll|dylib)$`);
  const cpu = platform.os === 'darwin' ? [] : variants[platform.cpu].map((variant) => library(`ggml-cpu-${variant}`));
  return [
    new RegExp(`^${addonOf(platform)}$`),
    library('node-diffusion-ggml'),
    library('node-diffusion-ggml-base'),
    ...cpu,
  ];
}

function checkElf({ libc, backend }, file, versions) {
  const problems = [];
  for (const [, library] of readelf('--dynamic', file).matchAll(/\(NEEDED\).*\[(.+)\]/g)) {
    if (SYSTEM_LIBRARIES[libc].test(library) || OWN_LIBRARIES.test(library)) continue;
    if (GPU_LIBRARIES[backend]?.test(library)) continue;
    problems.push(`needs ${library}, which not every machine has`);
  }
  if (/\.symtab/.test(readelf('--sections', file))) problems.push('has symbols that only a debugger reads');
  for (const [, version] of readelf('--version-info', file).matchAll(/\b(GLIBC(?:XX)?_[\d.]+)/g)) versions.add(version);
  return problems;
}

function readelf(option, file) {
  const { status, stdout, stderr, error } = spawnSync('readelf', ['--wide', option, file], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (error || status !== 0) throw new Error(`readelf failed on ${file}: ${error?.message ?? stderr}`);
  return stdout;
}

/** In a process of its own, which a bad addon may end. */
function checkLoading(addon) {
  if (!existsSync(addon)) return [];
  const script = 'const { contract } = require(process.argv[1]); if (!contract) process.exit(1)';
  const { status, signal, stderr } = spawnSync(process.execPath, ['-e', script, addon], { encoding: 'utf8' });
  return status === 0 ? [] : [`the addon does not load (${signal ?? status}): ${stderr.trim()}`];
}

function newest(versions, prefix) {
  return [...versions]
    .filter((version) => version.startsWith(prefix))
    .sort(compareVersions)
    .at(-1);
}

function compareVersions(a, b) {
  return a.localeCompare(b, 'en', { numeric: true });
}
