// The command that fixes an installation without a binary, for each package manager.

import { existsSync } from 'node:fs';
import { join, sep } from 'node:path';

/** Package managers by their files in a project, with the command that allows a package's install script. */
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
 * Describes how to get a binary.
 *
 * @param root folder of this package: under node_modules (or Yarn's folder for unpacked packages), or a clone.
 */
export function installHint(root: string): string {
  const project = projectOf(root);
  const needs = `If there is no prebuilt binary, this needs CMake and a C++20 compiler (${compilerHint()})`;
  if (project === undefined) return `run "npm run build". ${needs}`;
  const manager = MANAGERS.find(({ files }) => files.some((file) => existsSync(join(project, file))));
  const script = join(root, 'scripts', 'install.mjs');
  return `allow the package to run its install script: ${manager?.allow ?? NPM}; or run the script: node "${script}". ${needs}`;
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
