// Packs this package and installs the tarball into projects of its own, as a user would.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PNG } from 'pngjs';
import { compile, root } from '../support/places.ts';

compile();

const folders: string[] = [];
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A new folder, removed when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'node-diffusion-package-'));
  folders.push(folder);
  return folder;
}

/** Runs a program to its end; returns what it printed on both streams. Throws with that text where it fails. */
export function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): string {
  // Left out: what an outer npm run and an outer test run say about themselves.
  const outer = Object.entries(process.env).filter(
    ([name]) => !/^(npm_(lifecycle|package|command|config_local)|NODE_TEST)/.test(name),
  );
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env: { ...Object.fromEntries(outer), ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    shell: process.platform === 'win32',
  });
  if (error) throw error;
  const output = stdout + stderr;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${output}`);
  return output;
}

/** `npm pack`; returns the path of the tarball. */
export function pack(...options: string[]): string {
  const folder = temporaryFolder();
  run('npm', ['pack', '--pack-destination', folder, ...options], root);
  const name = readdirSync(folder).find((file) => file.endsWith('.tgz'));
  if (!name) throw new Error('npm pack wrote no tarball');
  return join(folder, name);
}

/** A folder for PATH that holds Node, npm and a shell, and neither a compiler, CMake, git nor Python. */
export function pathWithoutCompiler(): string {
  const folder = temporaryFolder();
  symlinkSync(process.execPath, join(folder, 'node'));
  for (const command of ['npm', 'npx', 'sh']) {
    symlinkSync(run('which', [command], root).trim(), join(folder, command));
  }
  return folder;
}

/** Installs tarballs into an empty project; returns the project's folder and what npm printed. */
export function install(
  tarballs: readonly string[],
  env: NodeJS.ProcessEnv = {},
  more: readonly string[] = [],
): { project: string; output: string } {
  const project = temporaryFolder();
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
  const options = ['--foreground-scripts', '--prefer-offline', '--no-audit', '--no-fund', ...more];
  return { project, output: run('npm', ['install', ...tarballs, ...options], project, env) };
}

/** Puts a binary where prebuilt ones lie; returns the folder to name in NODE_DIFFUSION_PREBUILD. */
export function layOut(binary: string): string {
  const folder = temporaryFolder();
  const target = join(folder, 'prebuilds', `${process.platform}-${process.arch}`, 'node-diffusion.node');
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(binary, target);
  return folder;
}

/** Generates an image with the command of an installed package. */
export function generate(project: string, env: NodeJS.ProcessEnv = {}): void {
  run('npx', ['diffuse', '-p', 'a red apple', '-o', 'apple.png'], project, env);
  assert.ok(PNG.sync.read(readFileSync(join(project, 'apple.png'))).width > 0);
}
