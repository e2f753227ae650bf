// What loadAddon does with and without a usable binary: the real one here, and copies of the package that have none.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { loadAddon } from '../../lib/native/load.ts';
import { compile, root } from '../support/places.ts';

compile();
const temporary = mkdtempSync(join(tmpdir(), 'node-diffusion-load-'));
after(() => rmSync(temporary, { recursive: true, force: true }));

const platform = `${process.platform}-${process.arch}`;

/** Makes a process say that it runs on a processor for which there is no package. */
const OTHER_PLATFORM = "Object.defineProperty(process,'arch',{value:'riscv64'})";

/** A copy of the package with its compiled loader, and no binary. */
function copyPackage(folder: string): string {
  mkdirSync(join(folder, 'dist', 'lib', 'native'), { recursive: true });
  for (const file of [
    ...[
      ...['core/errors', 'core/package-files', 'core/version', 'native/contract-version', 'native/install-hint'],
      ...['native/libc', 'native/load', 'native/platform-package'],
    ].map((name) => `dist/lib/${name}.js`),
  ]) {
    cpSync(join(root, file), join(folder, file));
  }
  // As it is published.
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const names = ['linux-x64', 'linux-x64-musl', 'linux-arm64', 'darwin-arm64', 'darwin-x64', 'win32-x64'];
  const optionalDependencies = Object.fromEntries(names.map((name) => [`@node-diffusion/${name}`, manifest.version]));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...manifest, optionalDependencies }));
  const modules = folder.includes('node_modules') ? dirname(folder) : join(folder, 'node_modules');
  mkdirSync(modules, { recursive: true });
  symlinkSync(join(root, 'node_modules', 'node-gyp-build'), join(modules, 'node-gyp-build'), 'junction');
  return folder;
}

/** The error of loading the addon from that copy, in a process of its own. */
function loadError(folder: string, env: NodeJS.ProcessEnv = {}): { name: string; code: string; message: string } {
  const script = `
    const { loadAddon } = await import(process.argv[1]);
    try { loadAddon(); console.log('{}'); }
    catch ({ name, code, message }) { console.log(JSON.stringify({ name, code, message })); }`;
  const loader = pathToFileURL(join(folder, 'dist', 'lib', 'native', 'load.js')).href;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script, loader], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return JSON.parse(output);
}

describe('loadAddon', () => {
  it('returns the addon, and the same one each time', () => {
    const addon = loadAddon();
    assert.equal(typeof addon.open, 'function');
    assert.equal(loadAddon(), addon);
  });

  it('names platform, Node version, places searched and what to install if an installed package has no binary', () => {
    const folder = copyPackage(join(temporary, 'node_modules', 'node-diffusion'));
    const error = loadError(folder);
    assert.equal(error.name, 'DiffusionError');
    assert.equal(error.code, 'ERR_BINARY');
    for (const part of [
      process.platform === 'linux' ? new RegExp(`${platform}-(glibc|musl)`) : platform,
      `Node ${process.version}`,
      join(folder, 'build', 'Release'),
      join(folder, 'prebuilds', platform),
      /@node-diffusion\/\S+ \(not installed\)/,
      /run "npm install @node-diffusion\/\S+@\d+\.\d+\.\d+"/,
    ]) {
      assert.ok(
        typeof part === 'string' ? error.message.includes(part) : part.test(error.message),
        `${part} in ${error.message}`,
      );
    }
  });

  for (const [manager, file, command] of [
    ['pnpm', 'pnpm-lock.yaml', 'pnpm add @node-diffusion/'],
    ['bun', 'bun.lock', 'bun add @node-diffusion/'],
    ['Yarn', 'yarn.lock', 'yarn add @node-diffusion/'],
  ] as const) {
    it(`names the command of ${manager} in one of its projects`, () => {
      const project = join(temporary, manager);
      const folder = copyPackage(join(project, 'node_modules', 'node-diffusion'));
      writeFileSync(join(project, file), '');
      const error = loadError(folder);
      assert.equal(error.code, 'ERR_BINARY');
      assert.ok(error.message.includes(command), error.message);
      assert.doesNotMatch(error.message, /npm install|npx/);
    });
  }

  it('says to build where there is no package for the platform', () => {
    const folder = copyPackage(join(temporary, 'other', 'node_modules', 'node-diffusion'));
    const error = loadError(folder, { NODE_OPTIONS: `--import "data:text/javascript,${OTHER_PLATFORM}"` });
    assert.match(
      error.message,
      /Platform: \w+-riscv64.*this platform has none.*run "npx diffuse build", which needs CMake/s,
    );
  });

  it('says to keep the package out of a bundle if it was bundled', () => {
    const folder = copyPackage(join(temporary, 'bundle'));
    for (const content of [{ name: 'an-app', type: 'module' }, { type: 'module' }]) {
      writeFileSync(join(folder, 'package.json'), JSON.stringify(content));
      // Another addon's binary, which must not be taken for ours.
      mkdirSync(join(folder, 'build', 'Release'), { recursive: true });
      writeFileSync(join(folder, 'build', 'Release', 'other.node'), '');
      const error = loadError(folder);
      assert.equal(error.code, 'ERR_BINARY');
      assert.match(error.message, /--external:node-diffusion/);
      assert.match(error.message, /serverExternalPackages/);
    }
  });

  it('takes the binary of the package for this platform', () => {
    const folder = copyPackage(join(temporary, 'platform', 'node_modules', 'node-diffusion'));
    const [, name] = /(@node-diffusion\/\S+) \(not installed\)/.exec(loadError(folder).message) ?? [];
    const installed = join(dirname(folder), name as string);
    const binaries = join(installed, 'prebuilds', platform);
    mkdirSync(binaries, { recursive: true });
    writeFileSync(join(installed, 'package.json'), '{ "main": "index.cjs" }');
    writeFileSync(join(installed, 'index.cjs'), 'module.exports = __dirname;');
    assert.match(loadError(folder).message, /has no binary for this platform.*run "npx diffuse build"/s);
    cpSync(join(root, 'build', 'Release', 'node-diffusion.node'), join(binaries, 'node-diffusion.node'));
    assert.deepEqual(loadError(folder), {});
  });

  it('takes what an Electron program has unpacked beside its archive', () => {
    const folder = copyPackage(join(temporary, 'app.asar', 'node_modules', 'node-diffusion'));
    const inArchive = join(folder, 'prebuilds', platform, 'node-diffusion.node');
    mkdirSync(dirname(inArchive), { recursive: true });
    writeFileSync(inArchive, 'only Electron reads this');
    const outside = inArchive.replace('app.asar', 'app.asar.unpacked');
    mkdirSync(dirname(outside), { recursive: true });
    cpSync(join(root, 'build', 'Release', 'node-diffusion.node'), outside);
    assert.deepEqual(loadError(folder), {});
  });

  it('says to build in a clone', () => {
    const error = loadError(copyPackage(join(temporary, 'clone')));
    assert.equal(error.code, 'ERR_BINARY');
    assert.match(error.message, /npm run build/);
  });

  it('names the folder of NODE_DIFFUSION_PREBUILD if it has no binary', () => {
    const elsewhere = join(temporary, 'elsewhere');
    const error = loadError(copyPackage(join(temporary, 'with-variable')), { NODE_DIFFUSION_PREBUILD: elsewhere });
    assert.equal(error.code, 'ERR_BINARY');
    assert.ok(error.message.includes(join(elsewhere, 'prebuilds', platform)), error.message);
  });

  it('says to build in a clone if the binary is older or newer than the sources', () => {
    const folder = copyPackage(join(temporary, 'stale'));
    const binary = join(folder, 'build', 'Release', 'node-diffusion.node');
    mkdirSync(join(folder, 'build', 'Release'), { recursive: true });
    cpSync(join(root, 'build', 'Release', 'node-diffusion.node'), binary);
    assert.deepEqual(loadError(folder), {});
    const version = "export const CONTRACT_VERSION = 'of another time';";
    writeFileSync(join(folder, 'dist', 'lib', 'native', 'contract-version.js'), version);
    const error = loadError(folder);
    assert.equal(error.code, 'ERR_BINARY');
    assert.ok(error.message.includes(`${binary} was built from another version of its sources`), error.message);
    assert.match(error.message, /npm run build/);
  });

  for (const [what, bytes] of [
    ['empty', ''],
    ['text', 'not a library'],
    ['cut short', '\x7fELF\x02\x01\x01'],
  ] as const) {
    it(`names the binary and the system's reason where the binary is ${what}`, () => {
      const folder = copyPackage(join(temporary, `broken ${what}`));
      const binary = join(folder, 'prebuilds', platform, 'node-diffusion.node');
      mkdirSync(join(folder, 'prebuilds', platform), { recursive: true });
      writeFileSync(binary, bytes, 'latin1');
      const error = loadError(folder);
      assert.equal(error.code, 'ERR_BINARY');
      assert.ok(error.message.includes(`${binary} does not load: `), error.message);
      assert.match(error.message, /npm run build/);
    });
  }
});
