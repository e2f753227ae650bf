#!/usr/bin/env node
// Makes the packages that are published, in release/, and checks them: the main package, and one for each platform.
// Publishes nothing.
//
//   node scripts/release.mjs [--no-build] [--all]
//
// --no-build packs the binaries that lie in packages/; otherwise those that this machine can build are built before.
// --all refuses unless there are binaries for every platform and GPU.

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { fetchGgml } from '../vendor/fetch.mjs';
import { root } from './build.mjs';
import { checkBinaries } from './check-binaries.mjs';
import { packageBinary } from './package-binary.mjs';
import { GPU_PACKAGES, ownPlatform, PLATFORM_INDEX, PLATFORMS, prebuildsOf } from './platforms.mjs';

/** Bytes of the main package and one platform's, unpacked. */
const MOST_UNPACKED = 40e6;

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const release = join(root, 'release');

function run(command, args, cwd = root) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    shell: process.platform === 'win32',
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
  return stdout;
}

function exists(command) {
  return spawnSync(command, ['--version']).status === 0;
}

/** Builds the addons of this platform and of those for which a cross compiler is installed. */
function buildPlatforms() {
  for (const { name, cross } of PLATFORMS) {
    if (name === ownPlatform || (cross && exists(cross.compiler))) packageBinary(name);
  }
}

/** Packs a folder into release/; prints and returns the tarball and its size unpacked. */
function pack(folder) {
  const output = run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', release], folder);
  const packed = Object.values(JSON.parse(output))[0];
  console.log(`${packed.filename}  ${megabytes(packed.size)}, unpacked ${megabytes(packed.unpackedSize)}`);
  return { file: join(release, basename(packed.filename)), unpacked: packed.unpackedSize };
}

/**
 * The main package: no scripts, no binaries, the source of ggml as an archive, and the packages that were built as
 * optional dependencies: Yarn installs nothing if the registry lacks one of them. Modules are compiled anew: dist/ may have those of sources that are gone.
 */
function packMain(staging, built) {
  fetchGgml();
  const folder = join(staging, 'main');
  mkdirSync(folder);
  const [{ files }] = Object.values(JSON.parse(run('npm', ['pack', '--ignore-scripts', '--dry-run', '--json'])));
  for (const { path } of files) {
    if (!/^(dist|vendor\/ggml)\//.test(path)) cpSync(join(root, path), join(folder, path), { recursive: true });
  }
  run(process.execPath, [
    join('node_modules', 'typescript', 'bin', 'tsc'),
    '-p',
    '.',
    '--outDir',
    join(folder, 'dist'),
  ]);
  for (const name of ['test', 'bench']) rmSync(join(folder, 'dist', name), { recursive: true });
  run('tar', ['-czf', join(folder, 'vendor', 'ggml.tar.gz'), '-C', join(root, 'vendor'), 'ggml']);
  const { scripts: _, devDependencies: __, ...rest } = manifest;
  const versions = (packages) => Object.fromEntries(packages.map(({ name }) => [packageName(name), manifest.version]));
  const gpus = versions(built.filter(({ backend }) => backend));
  const optional = Object.fromEntries(Object.keys(gpus).map((name) => [name, { optional: true }]));
  const published = manifest.files.map((path) => (path === 'vendor/ggml' ? 'vendor/ggml.tar.gz' : path));
  writeManifest(folder, {
    ...rest,
    files: published,
    optionalDependencies: versions(built.filter(({ backend }) => !backend)),
    // Strict package managers let a package see only those that it names.
    peerDependencies: { ...rest.peerDependencies, ...gpus },
    peerDependenciesMeta: { ...rest.peerDependenciesMeta, ...optional },
  });
  return pack(folder);
}

function packPlatform(staging, platform) {
  const { name, os, cpu, libc, backend } = platform;
  const folder = join(staging, name);
  cpSync(binariesOf(platform), join(folder, prebuildsOf(platform)), { recursive: true });
  for (const file of ['LICENSE', 'THIRD_PARTY_LICENSES.md']) cpSync(join(root, file), join(folder, file));
  const { version, license, repository } = manifest;
  writeManifest(folder, {
    name: packageName(name),
    version,
    description: backend
      ? `The ${backend} backend of ${manifest.name} for ${os}-${cpu}`
      : `The native addon of ${manifest.name} for ${name}`,
    license,
    repository,
    os: [os],
    cpu: [cpu],
    ...(libc && { libc: [libc] }),
    main: 'index.cjs',
    files: ['index.cjs', 'prebuilds', 'THIRD_PARTY_LICENSES.md'],
    preferUnplugged: true,
  });
  writeFileSync(join(folder, 'index.cjs'), PLATFORM_INDEX);
  return pack(folder);
}

function packageName(platform) {
  return `@${manifest.name}/${platform}`;
}

function binariesOf(platform) {
  return join(root, 'packages', platform.name, prebuildsOf(platform));
}

function writeManifest(folder, content) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(content, null, 2)}\n`);
}

/** Installs packages into an empty project without scripts, and generates an image there. */
function tryOut(staging, tarballs) {
  const project = join(staging, 'project');
  writeManifest(project, { private: true });
  const options = ['--ignore-scripts', '--omit=optional', '--prefer-offline', '--no-audit', '--no-fund'];
  run('npm', ['install', ...options, ...tarballs], project);
  run('npx', ['diffuse', '-p', 'a-red-apple', '-s', '1', '-o', 'apple.png'], project);
  if (statSync(join(project, 'apple.png')).size < 1000) throw new Error('The installed package generated no image.');
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Packs a platform's package and tries it where it runs; returns what is wrong with it. */
function releasePlatform(staging, platform, main) {
  const { problems, needs } = checkBinaries(platform, binariesOf(platform));
  const packed = packPlatform(staging, platform);
  if (needs.length > 0) console.log(`  needs ${needs.join(', ')}`);
  if (!platform.backend && main.unpacked + packed.unpacked > MOST_UNPACKED) {
    problems.push(`${platform.name} and the main package take more than ${megabytes(MOST_UNPACKED)} unpacked`);
  }
  if (platform.name !== ownPlatform) {
    console.log('  not loaded here');
  } else if (problems.length === 0) {
    tryOut(staging, [main.file, packed.file]);
    console.log('  installs without scripts and generates an image');
  }
  return problems;
}

function makeRelease({ all: complete, 'no-build': noBuild }) {
  if (!noBuild) buildPlatforms();
  const all = [...PLATFORMS, ...GPU_PACKAGES];
  const built = all.filter((platform) => existsSync(binariesOf(platform)));
  const missing = all.filter((platform) => !built.includes(platform)).map(({ name }) => name);
  if (built.length === 0) throw new Error('packages/ has no binaries. Build them: npm run package:binary');
  if (complete && missing.length > 0) throw new Error(`packages/ has no binaries for ${missing.join(', ')}.`);
  rmSync(release, { recursive: true, force: true });
  mkdirSync(release);
  const staging = mkdtempSync(join(tmpdir(), 'node-diffusion-release-'));
  try {
    const main = packMain(staging, built);
    const problems = built.flatMap((platform) => releasePlatform(staging, platform, main));
    if (missing.length > 0) console.log(`not built here: ${missing.join(', ')}`);
    if (problems.length > 0) throw new Error(`The packages are not fit to publish:\n  ${problems.join('\n  ')}`);
  } finally {
    rmSync(staging, { recursive: true });
  }
}

try {
  makeRelease(parseArgs({ options: { all: { type: 'boolean' }, 'no-build': { type: 'boolean' } } }).values);
} catch (error) {
  console.error(`node-diffusion: ${error.message}`);
  process.exitCode = 1;
}
