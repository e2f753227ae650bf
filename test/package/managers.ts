// Package managers as programs of their own: how each is told of a registry, installs a package without its scripts, and
// runs a program from it.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, temporaryFolder } from './installation.ts';

export interface Manager {
  readonly name: string;
  /** The npm package that has it, and its program in there. Undefined: the npm that is installed. */
  readonly tool?: readonly [string, string];
  /** Files of the project that configure it. */
  files(registry: string, cache: string): Readonly<Record<string, string>>;
  readonly install: readonly string[];
  /** What leaves out optional dependencies; Yarn has nothing of the kind. */
  readonly withoutOptional?: string;
  /** What stands before the name of a program that a package has. */
  readonly exec: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

const npm = {
  files: (registry: string, cache: string) => ({ '.npmrc': `registry=${registry}\ncache=${cache}\n` }),
  install: ['install', '--ignore-scripts', '--no-audit', '--no-fund'],
  withoutOptional: '--omit=optional',
  exec: ['exec', '--offline', '--'],
};

const yarn = (nodeLinker: string) => ({
  tool: ['@yarnpkg/cli-dist@4', 'bin/yarn.js'] as const,
  files: (registry: string, cache: string) => ({
    'yarn.lock': '',
    '.yarnrc.yml': [
      `npmRegistryServer: '${registry}'`,
      'unsafeHttpWhitelist: [127.0.0.1]',
      `globalFolder: '${cache}'`,
      `nodeLinker: ${nodeLinker}`,
      'enableScripts: false',
      'enableTelemetry: false',
      'enableImmutableInstalls: false',
    ].join('\n'),
  }),
  install: ['install'],
  exec: ['run'],
});

export const MANAGERS: readonly Manager[] = [
  { name: 'npm', ...npm },
  { name: 'npm 12', tool: ['npm@12', 'bin/npm-cli.js'], ...npm },
  {
    name: 'pnpm',
    tool: [`@pnpm/exe.${process.platform}-${process.arch}`, 'pnpm'],
    files: (registry, cache) => ({ '.npmrc': `registry=${registry}\nstore-dir=${cache}\ncache-dir=${cache}\n` }),
    install: ['install', '--ignore-scripts'],
    withoutOptional: '--no-optional',
    exec: ['exec'],
  },
  { name: 'Yarn with Plug and Play', ...yarn('pnp') },
  { name: 'Yarn with node_modules', ...yarn('node-modules') },
  {
    name: 'bun',
    tool: [`@oven/bun-${process.platform}-${process.arch}`, 'bin/bun'],
    files: (registry, cache) => ({
      'bunfig.toml': `[install]\nregistry = "${registry}"\n[install.cache]\ndir = "${cache}"\n`,
    }),
    install: ['install', '--ignore-scripts'],
    withoutOptional: '--omit=optional',
    exec: ['run'],
  },
];

/** A project that a package manager has installed the package in. */
export interface Project {
  readonly folder: string;
  /** Runs a program that a package of the project has, or a script of Node under `node`. */
  run(program: string, ...args: string[]): string;
  /** Runs the package manager. */
  manage(...args: string[]): string;
}

/** Installs packages, given as `dependencies` of package.json, into an empty project, with more `options` of the command. */
export function createProject(
  { tool, files, install, exec, env = {} }: Manager,
  registry: string,
  dependencies: Readonly<Record<string, string>>,
  ...options: readonly string[]
): Project {
  const folder = temporaryFolder();
  const command = tool ? getTool(...tool) : ['npm'];
  const manage = (...args: string[]) => {
    const [program, ...first] = command as [string, ...string[]];
    return run(program, [...first, ...args], folder, env);
  };
  const manifest = { name: 'project', version: '1.0.0', private: true, type: 'module', dependencies };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  for (const [name, text] of Object.entries(files(registry, join(folder, '.cache')))) {
    writeFileSync(join(folder, name), text);
  }
  manage(...install, ...options);
  return { folder, manage, run: (...args) => manage(...exec, ...args) };
}

/** Gets a program from npm; returns what starts it. */
function getTool(spec: string, program: string): string[] {
  const folder = temporaryFolder();
  const options = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--no-save'];
  run('npm', ['install', '--prefix', folder, ...options, spec], folder);
  const name = spec.replace(/(.)@.*/, '$1');
  const path = join(folder, 'node_modules', name, program);
  return /js$/.test(program) ? [process.execPath, path] : [path];
}
