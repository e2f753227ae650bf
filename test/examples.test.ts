// The examples do what they say, with the bundled model. Electron's is not run: it would download its program.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { PNG } from 'pngjs';
import { loadModel, readMetadata } from '../lib/index.ts';
import { psnr } from './support/compare.ts';
import { compile, root } from './support/places.ts';
import { temporaryFolder } from './support/tiny-model.ts';

// They import the package by its name, as a program does.
compile();
const example = (name: string) => join(root, 'examples', name);

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await promisify(server.close).call(server);
  return port;
}

async function run(name: string): Promise<{ stdout: string; image: Buffer }> {
  const cwd = temporaryFolder();
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [example(name)], { cwd });
  assert.equal(stderr, '');
  return { stdout, image: await readFile(join(cwd, 'apple.png')) };
}

test('the custom sampler generates what the sampler heun does', async () => {
  const { image } = await run('own-sampler.js');
  const model = await loadModel();
  const { images } = await model.txt2img({ prompt: 'a red apple', seed: 1, steps: 8, cfgScale: 3, sampler: 'heun' });
  await model.dispose();
  const expected = PNG.sync.read(Buffer.from(await (images[0] as (typeof images)[0]).png())).data;
  assert.ok(psnr(PNG.sync.read(image).data, expected, 255) > 45);
});

test('the worker thread reports its steps and writes an image', async () => {
  const { stdout, image } = await run('worker-thread.js');
  assert.equal(stdout, `${[1, 2, 3, 4, 5, 6, 7, 8].map((step) => `${step} of 8\n`).join('')}apple.png, seed 1\n`);
  assert.equal((await readMetadata(image)).prompt, 'a red apple');
});

test('the HTTP server sends steps and an image, reports wrong options, and stops where the client leaves', async () => {
  const child = spawn(process.execPath, [example('http-server.js')], {
    env: { ...process.env, PORT: String(await freePort()) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  after(() => child.kill('SIGKILL'));
  const line = async () => String(await once(child.stdout, 'data')).trim();
  const address = await line();

  const text = await (await fetch(`${address}?prompt=a+red+apple&steps=2`)).text();
  const events = text
    .split('\n\n')
    .filter(Boolean)
    .map((event) => {
      const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(event) ?? [];
      return { name, data: JSON.parse(data ?? '') };
    });
  assert.deepEqual(
    events.map(({ name }) => name),
    ['step', 'step', 'image'],
  );
  assert.deepEqual(events[1]?.data, { index: 1, total: 2 });
  assert.equal((await readMetadata(Buffer.from(events[2]?.data.png, 'base64'))).prompt, 'a red apple');

  assert.match(await (await fetch(`${address}?steps=none`)).text(), /^event: error\ndata: .*ERR_INVALID_ARG/);
  assert.equal((await fetch(`${address}other`)).status, 404);

  const left = line();
  const client = new AbortController();
  const response = await fetch(`${address}?prompt=x&steps=900`, { signal: client.signal });
  await response.body?.getReader().read();
  client.abort();
  assert.equal(await left, 'The client left.');

  if (process.platform === 'win32') return;
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});
