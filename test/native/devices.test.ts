// Choosing a device, with libraries that behave like the drivers of GPUs: native/test/fake_backend.cc, which
// `npm run test:native` builds.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { loadGpuLibraries } from '../../lib/native/gpu-libraries.ts';
import { findAddon, loadAddon } from '../../lib/native/load.ts';
import { compile, root } from '../support/places.ts';

compile();
const fakes = join(root, 'build', 'backends');
const temporary = mkdtempSync(join(tmpdir(), 'node-diffusion-devices-'));
after(() => rmSync(temporary, { recursive: true, force: true }));

/** A copy of the addon with libraries of fake drivers beside it; returns its path. */
function installed(name: string, ...drivers: readonly string[]): string {
  const folder = join(temporary, name, 'build', 'Release');
  mkdirSync(folder, { recursive: true });
  const addon = join(folder, 'node-diffusion.node');
  copyFileSync(findAddon(), addon);
  for (const driver of drivers) copyFileSync(library(driver), join(folder, fileName(driver)));
  return addon;
}

const fileName = (driver: string) => (driver === 'software' ? 'libggml-vulkan.so' : 'libggml-cuda.so');
const library = (driver: string) => join(fakes, driver, fileName(driver));

interface Loaded {
  readonly devices: readonly string[];
  readonly device?: string;
  readonly code?: string;
  readonly message?: string;
  readonly warnings: readonly string[];
}

/** Loads the bundled model with those options in a process of its own. */
function load(addon: string, options: object, env: NodeJS.ProcessEnv = {}): Loaded {
  const script = `
    const { checkLoadOptions } = await import(process.argv[1] + '/loading/load-options.js');
    const { loadAddon } = await import(process.argv[1] + '/native/load.js');
    const { listDevices, loadModel } = await import(process.argv[1] + '/index.js');
    const warnings = [];
    const result = { warnings, devices: [] };
    try {
      const logger = { warn: (message) => warnings.push(message) };
      const options = { ...JSON.parse(process.argv[2]), logger };
      const { device, memory } = checkLoadOptions(options, loadAddon());
      Object.assign(result, { device, memory: memory && [...memory.keys()] });
      if (device === 'cpu') await (await loadModel(undefined, { ...options, logger: {} })).dispose();
      if (options.device !== 'cpu') result.devices = listDevices().map(({ name }) => name);
    } catch ({ code, message }) { Object.assign(result, { code, message }); }
    console.log(JSON.stringify(result));`;
  const lib = pathToFileURL(join(root, 'dist', 'lib')).href;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script, lib, JSON.stringify(options)], {
    encoding: 'utf8',
    env: { ...process.env, NODE_DIFFUSION_PREBUILD: dirname(dirname(dirname(addon))), ...env },
  });
  return JSON.parse(output);
}

describe('devices', { skip: process.platform !== 'linux' && 'its libraries are made on Linux' }, () => {
  before(() => assert.ok(existsSync(fakes), `${fakes} is missing. Build it: node scripts/build.mjs --tests`));

  it('a driver that works is chosen, and has the names cuda, cuda0 and cuda:0, in budgets too', () => {
    const addon = installed('good', 'good');
    assert.deepEqual(load(addon, {}), { devices: ['cpu', 'cuda0'], device: 'cuda0', warnings: [] });
    for (const device of ['auto', 'cuda', 'cuda0', 'cuda:0']) assert.equal(load(addon, { device }).device, 'cuda0');
    const found = load(addon, { device: 'cuda', memory: { 'cuda:0': '1GB', cpu: '2GB' } });
    assert.deepEqual((found as { memory?: unknown }).memory, ['cuda0', 'cpu']);
  });

  it('a driver in a package of its own is found', { skip: process.arch !== 'x64' && 'there is none' }, () => {
    const platform = `${process.platform}-${process.arch}`;
    const name = join(temporary, 'modules', '@node-diffusion', `${platform}-cuda`);
    mkdirSync(join(name, 'prebuilds', platform), { recursive: true });
    writeFileSync(join(name, 'index.js'), 'module.exports = __dirname;');
    copyFileSync(library('good'), join(name, 'prebuilds', platform, fileName('good')));
    const env = { NODE_PATH: join(temporary, 'modules') };
    assert.equal(load(installed('package'), { device: 'cuda' }, env).device, 'cuda0');
  });

  it('another device of that kind is ERR_DEVICE, and lists those that there are', () => {
    const { code, message } = load(installed('other', 'good'), { device: 'cuda:1' });
    assert.equal(code, 'ERR_DEVICE');
    assert.match(String(message), /Expected a device that there is \(cpu, cuda0\) but received 'cuda:1'/);
  });

  it('a driver that ends its process is a warning with auto, and the CPU is used', () => {
    const addon = installed('abort', 'abort');
    const { device, devices, warnings } = load(addon, {});
    assert.deepEqual({ device, devices }, { device: 'cpu', devices: ['cpu'] });
    assert.equal(warnings.length, 1);
    assert.match(String(warnings[0]), /^libggml-cuda\.so is not used: its driver ended the process.*SIGABRT/);
  });

  it('asking for that device is ERR_DEVICE with the reason', () => {
    const { code, message } = load(installed('abort', 'abort'), { device: 'cuda' });
    assert.equal(code, 'ERR_DEVICE');
    assert.match(String(message), /\(cpu\) but received 'cuda'.*libggml-cuda\.so is not used: .*SIGABRT/);
  });

  it('a missing backend is ERR_DEVICE, and says that there is none', () => {
    const { code, message } = load(installed('none'), { device: 'metal' });
    assert.equal(code, 'ERR_DEVICE');
    assert.match(String(message), /This build has no backend for metal/);
  });

  it('a driver without devices or with one that cannot be opened is no warning', () => {
    for (const [driver, reason] of [
      ['empty', /found no device/],
      ['closed', /cuda0 could not be opened/],
    ] as const) {
      const addon = installed(driver, driver);
      const { device, warnings } = load(addon, {});
      assert.deepEqual({ device, warnings }, { device: 'cpu', warnings: [] });
      assert.match(String(load(addon, { device: 'cuda' }).message), reason);
    }
  });

  it('auto does not choose a GPU that is a program, but it can be asked for', () => {
    const addon = installed('software', 'software');
    assert.deepEqual(load(addon, {}), { devices: ['cpu', 'vulkan0'], device: 'cpu', warnings: [] });
    assert.equal(load(addon, { device: 'vulkan' }).device, 'vulkan0');
  });

  it('a driver that hangs is stopped, and tried again only when its file has changed', () => {
    const path = installed('hang', 'hang');
    const file = join(dirname(path), fileName('hang'));
    const addon = loadAddon();
    const time = () => {
      const start = performance.now();
      const [found] = loadGpuLibraries(addon, path, 1500);
      assert.match(String(found?.problem), /did not answer within 1\.5 seconds/);
      assert.equal(found?.broken, true);
      return performance.now() - start;
    };
    assert.ok(time() >= 1400);
    assert.ok(time() < 1000, 'the outcome is kept');
    utimesSync(file, 1, 1);
    assert.ok(time() >= 1400, 'another file is tried');
  });

  it('no driver is tried for the CPU', () => {
    const start = performance.now();
    assert.equal(load(installed('hang', 'hang'), { device: 'cpu' }).device, 'cpu');
    assert.ok(performance.now() - start < 20_000, 'a trial would take 30 seconds');
  });

  it('inspect gpu says what was found but is not used', () => {
    const path = installed('cli', 'abort', 'software');
    const env = { ...process.env, NODE_DIFFUSION_PREBUILD: dirname(dirname(dirname(path))) };
    const run = (...args: string[]) =>
      execFileSync(process.execPath, [join(root, 'dist', 'lib', 'cli', 'main.js'), ...args], { encoding: 'utf8', env });
    const text = run('inspect', 'gpu');
    assert.match(text, /^vulkan0 +software, only if asked for +3\.0 GiB of 4\.0 GiB free +llvmpipe/m);
    assert.match(text, /^libggml-cuda\.so is not used: its driver ended the process/m);
    const { devices, libraries } = JSON.parse(run('inspect', 'gpu', '--json'));
    assert.deepEqual(
      devices.map(({ name, backend, software }: Record<string, unknown>) => [name, backend, software]),
      [
        ['cpu', 'cpu', false],
        ['vulkan0', 'vulkan', true],
      ],
    );
    assert.deepEqual(
      libraries.map(({ backend, broken }: Record<string, unknown>) => [backend, broken]),
      [
        ['cuda', true],
        ['vulkan', false],
      ],
    );
  });
});
