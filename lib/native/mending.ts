// What mends an installation without a binary: the command of the package manager that made it.

import { existsSync } from 'node:fs';
import { join, sep } from 'node:path';

/** Managers by the files that they leave in a project, and how each lets a package run its install script, which no rebuild does. */
const MANAGERS: readonly { files: readonly string[]; allow: string }[] = [
  {
    files: ['pnpm-lock.yaml', 'pnpm-workspace.yaml', join('node_modules', '.modules.yaml')],
    allow: 'pnpm approve-builds',
  },
  { files: ['bun.lock', 'bun.lockb'], allow: 'bun pm trust node-diffusion' },
  {
    files: ['yarn.lock', '.pnp.cjs'],
    allow: 'yarn rebuild node-diffusion, with dependenciesMeta["node-diffusion"].built set to true in package.json',
  },
];
const NPM =
  'npm approve-scripts node-diffusion && npm rebuild node-diffusion (npm 12), npm rebuild node-diffusion (before)';

/**
 * Says how to get a binary.
 *
 * @param root folder of this package: under node_modules (or where Yarn unpacks), or a clone.
 */
export function mendingCommand(root: string): string {
  const project = projectOf(root);
  const needs = `It needs CMake and a C++20 compiler where no prebuilt binary fits (${compilerHint()})`;
  if (project === undefined) return `run "npm run build". ${needs}`;
  const manager = MANAGERS.find(({ files }) => files.some((file) => existsSync(join(project, file))));
  const script = join(root, 'scripts', 'install.mjs');
  return `let the package run its install script: ${manager?.allow ?? NPM}; or run it: node "${script}". ${needs}`;
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
