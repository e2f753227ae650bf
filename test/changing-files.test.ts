// Model files that other programs write to, cut or replace while they are in use.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  ftruncateSync,
  openSync,
  renameSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { RgbImage } from '../lib/image/rgb-image.ts';
import { type ComputeOptions, EMBEDDED_MODEL, loadModel, loadUpscaler } from '../lib/index.ts';
import { start } from './cli/command.ts';
import { moduleUrl } from './support/places.ts';
import { temporaryFolder } from './support/tiny-model.ts';

/** Windows lets nobody write to a file that is open for reading alone. */
const skip = process.platform === 'win32';

/** Of the convolutions of the large file. */
const CHANNELS = 1024;
const CONVOLUTIONS = 8;
const FIRST_BYTES = 4 * CHANNELS * 3 * 9;

let count = 0;

/** An upscaler of 302 MB, too large to be copied when it is loaded. Its weights are zeros, which take no place on the disk. */
function largeUpscaler(): string {
  const header: Record<string, object> = {};
  let end = 0;
  const add = (name: string, shape: number[]) => {
    const begin = end;
    end += 4 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: 'F32', shape, data_offsets: [begin, end] };
  };
  for (let i = 0; i <= CONVOLUTIONS; i++) {
    add(`body.${2 * i}.weight`, [CHANNELS, i === 0 ? 3 : CHANNELS, 3, 3]);
    add(`body.${2 * i}.bias`, [CHANNELS]);
    add(`body.${2 * i + 1}.weight`, [CHANNELS]);
  }
  add(`body.${2 * CONVOLUTIONS + 2}.weight`, [12, CHANNELS, 3, 3]);
  add(`body.${2 * CONVOLUTIONS + 2}.bias`, [12]);
  const text = Buffer.from(JSON.stringify(header).padEnd(8192));
  const path = join(temporaryFolder(), `large-${count++}.safetensors`);
  const file = openSync(path, 'w');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeSync(file, length, 0, 8, 0);
  writeSync(file, text, 0, text.length, 8);
  ftruncateSync(file, 8 + text.length + end);
  closeSync(file);
  return path;
}

/** Puts other weights in place of the first ones. */
function writeOver(path: string): void {
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(FIRST_BYTES, 0x3f), 0, FIRST_BYTES, 8200);
  closeSync(file);
}

const image = { width: 8, height: 8, data: new Uint8Array(3 * 64).fill(200) };

/** The result before and after something happens to the file of an open upscaler. */
async function upscaleTwice(path: string, change: () => void, options: ComputeOptions = {}) {
  await using upscaler = await loadUpscaler(path, options);
  const before = await upscaler.upscale(image);
  change();
  const after = await upscaler.upscale(image);
  return { info: upscaler.info, before: before.data, after: after.data };
}

test('a small model generates the same image, whatever happens to its file', { skip }, async () => {
  const path = join(temporaryFolder(), 'small.gguf');
  copyFileSync(EMBEDDED_MODEL, path);
  await using model = await loadModel(path);
  assert.equal(model.info.mappedBytes, 0);
  const generate = async () => (await model.txt2img({ prompt: 'a red apple', steps: 2, seed: 1 })).images[0]?.data;
  const generated = await generate();
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(2 ** 23, 0x55), 0, 2 ** 23, 2 ** 22);
  closeSync(file);
  assert.deepEqual(await generate(), generated);
  truncateSync(path, 100);
  assert.deepEqual(await generate(), generated);
});

test('a model whose networks are read again refuses a file that was written to or cut, not one that was renamed', {
  skip,
}, async () => {
  const changes = {
    written: (path: string) => writeOver(path),
    cut: (path: string) => truncateSync(path, 100),
    renamed: (path: string) => {
      copyFileSync(EMBEDDED_MODEL, `${path}.other`);
      writeOver(`${path}.other`);
      renameSync(`${path}.other`, path);
    },
  };
  for (const residency of ['unload', { budget: 0 }] as const) {
    for (const [name, change] of Object.entries(changes)) {
      const path = join(temporaryFolder(), 'read-again.gguf');
      copyFileSync(EMBEDDED_MODEL, path);
      await using model = await loadModel(path, { device: 'cpu', residency });
      const generate = async () => (await model.txt2img({ prompt: 'a red apple', steps: 1, seed: 1 })).images[0]?.data;
      const generated = await generate();
      change(path);
      if (name === 'renamed') assert.deepEqual(await generate(), generated);
      else await assert.rejects(generate, { code: 'ERR_FILE', message: /while in use; load the model again/ });
    }
  }
});

test('a large model whose file is written to or cut refuses to go on', { skip }, async () => {
  for (const [change, message] of [
    [writeOver, /was written to while in use; load the model again/],
    [(path: string) => truncateSync(path, 100_000), /changed its size while in use; load the model again/],
  ] as const) {
    const path = largeUpscaler();
    await assert.rejects(
      upscaleTwice(path, () => change(path)),
      { name: 'DiffusionError', code: 'ERR_FILE', message },
    );
  }
});

test('a large model whose file is replaced by renaming goes on as it was', { skip }, async () => {
  const [path, other] = [largeUpscaler(), largeUpscaler()];
  writeOver(other);
  const { info, before, after } = await upscaleTwice(path, () => renameSync(other, path));
  assert.ok(info.device !== 'cpu' || info.mappedBytes > 2 ** 28);
  assert.deepEqual(after, before);
});

test('with mmap: false a large model is copied when it is loaded', { skip }, async () => {
  const path = largeUpscaler();
  const { info, before, after } = await upscaleTwice(path, () => truncateSync(path, 0), { mmap: false });
  assert.ok(info.mappedBytes === 0 && info.allocatedBytes > 2 ** 28);
  assert.deepEqual(after, before);
});

test('the command line copies with --no-mmap', { skip }, async () => {
  const [path, model] = [join(temporaryFolder(), 'wide.png'), largeUpscaler()];
  await new RgbImage(new Uint8Array(3 * 48 * 32), 48, 32).save(path);
  const flags = ['--upscale-model', model, '--upscale-tile-size', '32', '--progress', 'json', '--device', 'cpu'];
  const { child, finished } = start(['upscale', path, ...flags, '--no-mmap', '-o', path]);
  // After the first of two tiles.
  child.stderr?.on('data', (text) => String(text).includes('"enlarging"') && truncateSync(model, 0));
  const { code, stderr } = await finished;
  assert.equal(code, 0, stderr);
  assert.equal(statSync(model).size, 0);
});

test('a file that is cut while the network is evaluated is an error, and the process lives', { skip }, () => {
  const paths = [0, 1, 2, 3].map(largeUpscaler);
  // The first evaluation reads the weights, one after the other. Whether it notices or the next one does, there is no image.
  const script = `
    import { truncateSync } from 'node:fs';
    import { setTimeout } from 'node:timers/promises';
    import { loadUpscaler } from ${JSON.stringify(moduleUrl('lib/index.ts'))};
    const image = { width: 256, height: 256, data: new Uint8Array(3 * 256 * 256) };
    for (const [i, path] of ${JSON.stringify(paths)}.entries()) {
      const upscaler = await loadUpscaler(path, { device: 'cpu' });
      const result = upscaler.upscale(image, { tileSize: 32 });
      result.catch(() => {});
      await setTimeout(15 * i);
      truncateSync(path, 20_000);
      await result.then(() => console.log('generated'), ({ code }) => console.log(code));
      await upscaler.dispose();
    }`;
  const { stdout, signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  assert.deepEqual([stdout, signal], ['ERR_FILE\n'.repeat(4), null], stderr);
});
