#!/usr/bin/env node
// Puts together what the Vulkan backend is compiled with, for Debian 12, whose shader compiler and headers are too old for
// ggml's shaders: packages of Debian 13, unpacked into a folder, where the compiler runs with the C library of its own.
//
//   node scripts/vulkan-toolchain.mjs [FOLDER]   default: build/vulkan-toolchain
//
// It also needs `apt install libvulkan-dev spirv-headers`, for the library to link with.

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const SUITE = 'trixie';
const PACKAGES = ['glslc', 'libshaderc1', 'libc6', 'libgcc-s1', 'libstdc++6', 'libvulkan-dev'];
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Makes the toolchain in a folder, unless it is there. It appears whole or not at all. */
export function makeVulkanToolchain(folder) {
  if (existsSync(join(folder, 'glslc'))) return;
  mkdirSync(dirname(folder), { recursive: true });
  const temporary = mkdtempSync(`${folder}-`);
  try {
    downloadPackages(temporary);
    for (const file of readdirSync(temporary).filter((name) => name.endsWith('.deb'))) {
      execFileSync('dpkg-deb', ['-x', join(temporary, file), join(temporary, 'toolchain')], { stdio: 'inherit' });
    }
    writeCompiler(join(temporary, 'toolchain'), folder);
    renameSync(join(temporary, 'toolchain'), folder);
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

/** CMake's arguments for a build with the toolchain. */
export function vulkanArguments(folder) {
  return [`-DVulkan_GLSLC_EXECUTABLE=${join(folder, 'glslc')}`, `-DVulkan_INCLUDE_DIR=${join(folder, 'usr/include')}`];
}

/** Downloads from the mirror that this machine uses, with lists of its own. */
function downloadPackages(folder) {
  const state = ['lists/partial', 'archives/partial'].map((name) => join(folder, name));
  for (const name of state) mkdirSync(name, { recursive: true });
  // apt downloads as another user.
  chmodSync(folder, 0o755);
  const sources = join(folder, 'sources.list');
  writeFileSync(sources, `deb [signed-by=${KEYRING}] ${findMirror()} ${SUITE} main\n`);
  const options = {
    'Dir::Etc::SourceList': sources,
    'Dir::Etc::SourceParts': '-',
    'Dir::State::Lists': join(folder, 'lists'),
    'Dir::Cache::Archives': join(folder, 'archives'),
    'Dir::Cache::PkgCache': '',
    'Dir::Cache::SrcPkgCache': '',
    'APT::Sandbox::User': 'root',
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const aptGet = (...args) => execFileSync('apt-get', ['-q', ...flags, ...args], { cwd: folder, stdio: 'inherit' });
  aptGet('update');
  aptGet('download', ...PACKAGES.map((name) => `${name}/${SUITE}`));
}

/** By its path, as the names of repositories are only known where `apt-get update` has run. */
function findMirror() {
  const args = ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'];
  const uris = execFileSync('apt-get', args, { encoding: 'utf8' }).split('\n');
  const mirror = uris.find((uri) => /\/debian\/?$/.test(uri));
  if (mirror) return mirror;
  throw new Error('Expected a mirror of Debian among the sources of apt. On other systems, install the Vulkan SDK.');
}

/** The compiler, started with the C library it was built for. */
function writeCompiler(toolchain, place) {
  const files = readdirSync(join(toolchain, 'usr'), { recursive: true });
  const find = (pattern) =>
    join(
      place,
      'usr',
      files.find((file) => pattern.test(file)),
    );
  const loader = find(/^lib[^/]*\/(.*\/)?ld-linux[^/]*\.so\.\d$/);
  const libraries = dirname(find(/\/libshaderc\.so\.1$/));
  const program = join(place, 'usr/bin/glslc');
  const script = join(toolchain, 'glslc');
  writeFileSync(script, `#!/bin/sh\nexec '${loader}' --library-path '${libraries}' '${program}' "$@"\n`);
  chmodSync(script, 0o755);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = resolve(process.argv[2] ?? join(root, 'build/vulkan-toolchain'));
  try {
    makeVulkanToolchain(folder);
    console.log(`Vulkan toolchain: ${folder}`);
    console.log(`NODE_DIFFUSION_CMAKE_ARGS="${vulkanArguments(folder).join(' ')}" node scripts/build.mjs --vulkan`);
  } catch (error) {
    console.error(`node-diffusion: No Vulkan toolchain could be made. It needs apt and dpkg. ${error.message}`);
    process.exitCode = 1;
  }
}
