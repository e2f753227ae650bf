// What to do about an installation without a binary, for each package manager.

import { existsSync } from 'node:fs';
import { join, sep } from 'node:path';
import { PACKAGE_VERSION } from '../core/version.ts';
import { platformFolder, platformPackage } from './platform-package.ts';

/** Package managers by their files in a project, with their command that adds a package and the one that runs a program. */
const MANAGERS: readonly { files: readonly string[]; add: string; run: string }[] = [
  {
    files: ['pnpm-lock.yaml', 'pnpm-workspace.yaml', join('node_modules', '.modules.yaml')],
    add: 'pnpm add',
    run: 'pnpm exec',
  },
  { files: ['bun.lock', 'bun.lockb'], add: 'bun add', run: 'bunx' },
  { files: ['yarn.lock', '.pnp.cjs'], add: 'yarn add', run: 'yarn' },
];
const NPM = { add: 'npm install', run: 'npx' };

/**
 * The command that gets a binary: that adds the package for this platform, if there is one and it is not installed;
 * otherwise that builds from source.
 *
 * @param root folder of this package: under node_modules (or Yarn's folder for unpacked packages), or a clone.
 */
export function installHint(root: string): string {
  const needs = `needs CMake and a C++20 compiler (${compilerHint()})`;
  const project = projectOf(root);
  if (project === undefined) return `run "npm run build", which ${needs}`;
  const { add, run } = MANAGERS.find(({ files }) => files.some((file) => existsSync(join(project, file)))) ?? NPM;
  const name = platformPackage();
  if (name === undefined || platformFolder() !== undefined) return `run "${run} diffuse build", which ${needs}`;
  return `run "${add} ${name}@${PACKAGE_VERSION}", which adds the package with the binary`;
}

/** The project that a package was installed for; undefined for a clone. */
function projectOf(root: string): string | undefined {
  const folders = root.split(sep);
  const first = folders.findIndex(
    (name, i) => name === 'node_modules' || (name === '.yarn' && folders[i + 1] === 'unplugged'),
  );
  return first < 0 ? undefined : folders.slice(0, first).join(sep) || sep;
}

function compilerHint(): string {
  if (process.platform === 'darwin') return 'macOS: xcode-select --install; brew install cmake';
  if (process.platform === 'win32') return 'Windows: Visual Studio Build Tools with the C++ workload, and CMake';
  return 'Debian, Ubuntu: apt-get install cmake g++';
}
