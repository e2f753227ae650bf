// Paths that lead to no ordinary file, wherever one is asked for: each is refused at once, with its kind, and no thread waits for it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { RgbImage } from '../lib/image/rgb-image.ts';
import { inspectModel, loadDepthEstimator, loadModel, loadUpscaler, type Model, readMetadata } from '../lib/index.ts';
import { soundModel } from './support/bad-models.ts';
import { temporaryFolder } from './support/tiny-model.ts';

const skip = process.platform === 'win32';
const folder = temporaryFolder();
const inFolder = (name: string) => join(folder, name);
const image = { width: 64, height: 64, data: new Uint8Array(3 * 64 * 64) };
const server = createServer();
let model: Model;

before(async () => {
  if (skip) return;
  model = await loadModel(soundModel(), { threads: 1 });
  execFileSync('mkfifo', [inFolder('fifo'), inFolder('fifo.safetensors'), inFolder('fifo.pt')]);
  await new Promise<AddressInfo | string | null>((resolve) => {
    server.listen(inFolder('socket'), () => resolve(server.address()));
  });
  symlinkSync(inFolder('nothing'), inFolder('dangling'));
  symlinkSync(inFolder('loop'), inFolder('loop'));
  writeFileSync(inFolder('locked'), 'x');
  chmodSync(inFolder('locked'), 0);
  writeFileSync(inFolder('huge'), '');
  truncateSync(inFolder('huge'), 2 ** 40);
});
after(async () => {
  server.close();
  await model?.dispose();
});

/** What a path leads to, and what its refusal says. */
const PATHS: [what: string, path: () => string, message: RegExp][] = [
  ['a FIFO', () => inFolder('fifo'), /a FIFO/],
  ['a device without an end', () => '/dev/zero', /a device/],
  ['a socket', () => inFolder('socket'), /a socket|no such device or address/i],
  ['a directory', () => folder, /a directory|is a folder|has no weights/],
  ['a dangling link', () => inFolder('dangling'), /no such file/i],
  ['a loop of links', () => inFolder('loop'), /too many/i],
  ['a file below a file', () => join(inFolder('locked'), 'below'), /not a directory|no such file/i],
  ['a name of 5,000 characters', () => inFolder('x'.repeat(5000)), /name too long|1 to 4096 characters/i],
  ['a zero byte', () => inFolder('a\0b'), /zero byte|null bytes|NUL/i],
];
if (process.platform === 'linux') {
  PATHS.push([
    'a file of messages to wait for',
    () => '/proc/kmsg',
    /temporarily unavailable|permitted|is empty|is not one/,
  ]);
}
if (process.getuid?.() !== 0) PATHS.push(['a file without permission', () => inFolder('locked'), /denied/]);

/** Whatever takes the path of a file and reads it. */
const READERS: readonly [what: string, read: (path: string) => PromiseLike<unknown>][] = [
  ['an image', (path) => model.img2img({ image: path, prompt: 'x', steps: 1 })],
  ['a mask', (path) => model.inpaint({ image, mask: path, prompt: 'x', steps: 1 })],
  ['an image to read the parameters of', (path) => readMetadata(path)],
  ['a model', (path) => loadModel(path)],
  ['a VAE', (path) => loadModel({ model: soundModel(), vae: path })],
  ['a model to inspect', (path) => inspectModel(path)],
  ['an upscaler', (path) => loadUpscaler(path)],
  ['a depth network', (path) => loadDepthEstimator(path)],
  [
    'an embedding',
    (path) => model.txt2img({ prompt: 'a cat', steps: 1, width: 64, height: 64, embeddings: [{ path, token: 'cat' }] }),
  ],
  [
    'a ControlNet',
    (path) => model.txt2img({ prompt: 'x', steps: 1, width: 64, height: 64, controls: [{ model: path, image }] }),
  ],
  [
    'the image of a ControlNet',
    (image) => model.txt2img({ prompt: 'x', steps: 1, width: 64, height: 64, controls: [{ model: 'none', image }] }),
  ],
];

for (const [what, read] of READERS) {
  test(`a path of ${what} that leads to no file is refused at once`, { skip, timeout: 60_000 }, async () => {
    for (const [where, path, message] of PATHS) {
      const error = await Promise.resolve(read(path())).then(
        () => assert.fail(`${where}: nothing was thrown`),
        (error: Error & { code: string }) => error,
      );
      assert.match(error.message, message, where);
      assert.match(error.code, /^ERR_(FILE|INVALID_ARG_VALUE|IMAGE|MODEL_INCOMPLETE)$/, where);
      assert.ok(error.message.length < 600, `${where}: ${error.message.length} characters`);
    }
  });
}

test('a LoRA that is no file is refused at once', { skip, timeout: 60_000 }, async () => {
  for (const [where, path, message] of PATHS) {
    const loras = [{ path: path() }];
    await assert.rejects(
      Promise.resolve(model.txt2img({ prompt: 'x', steps: 1, width: 64, height: 64, loras })),
      {
        code: /^ERR_(FILE|INVALID_ARG_VALUE)$/,
        message: new RegExp(`${message.source}|^Expected a LoRA at .{0,500}$`, 'i'),
      },
      where,
    );
  }
  const fifo = model.txt2img({ prompt: 'x', steps: 1, width: 64, height: 64, loras: [{ path: inFolder('fifo.pt') }] });
  await assert.rejects(Promise.resolve(fifo), { code: 'ERR_FILE', message: /fifo\.pt': .* a FIFO/ });
});

test('a folder of LoRAs or embeddings may hold pipes', { skip, timeout: 60_000 }, async () => {
  const options = { steps: 1, width: 64, height: 64 };
  const lora = model.txt2img({ ...options, prompt: 'x <lora:fifo:1>', loraDirectory: folder });
  await assert.rejects(Promise.resolve(lora), { code: 'ERR_FILE', message: /fifo/ });
  const embedding = model.txt2img({ ...options, prompt: 'a fifo', embeddingDirectory: folder });
  await assert.rejects(Promise.resolve(embedding), { code: 'ERR_FILE' });
});

test('an image of more bytes than any has is not read to its end', { skip, timeout: 60_000 }, async () => {
  const run = model.img2img({ image: inFolder('huge'), prompt: 'x', steps: 1 });
  await assert.rejects(Promise.resolve(run), { code: 'ERR_IMAGE', message: /huge' is not one/ });
  writeFileSync(inFolder('huge'), Buffer.from('89504e470d0a1a0a', 'hex'), { flag: 'r+' });
  await assert.rejects(readMetadata(inFolder('huge')), { code: 'ERR_IMAGE', message: /at most 268435456 bytes/ });
});

test('an image is written to no pipe, socket or folder, and to a device without waiting', {
  skip,
  timeout: 60_000,
}, async () => {
  const copy = new RgbImage(image.data, 64, 64);
  for (const [name, message] of [
    ['fifo', /is a FIFO. .*-o -/],
    ['socket', /is a socket/],
    ['', /is a folder/],
    ['loop', /too many/i],
    ['x'.repeat(300), /name too long/i],
  ] as const) {
    await assert.rejects(copy.save(inFolder(name)), (error: Error & { code: string }) => {
      assert.match(error.message, message);
      assert.ok(error.message.length < 600);
      return error.code === 'ERR_WRITE';
    });
  }
  await assert.rejects(copy.save(inFolder('x'.repeat(5000))), { code: 'ERR_INVALID_ARG_VALUE' });
  await copy.save('/dev/null');
  if (process.platform === 'linux') {
    await assert.rejects(copy.save('/dev/full'), { code: 'ERR_WRITE', message: /no space left/ });
  }
});
