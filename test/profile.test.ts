// What the operations of a model cost: the option `profile`, and the table of the command line.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { loadModel } from '../lib/index.ts';
import { modulePath } from './support/places.ts';
import { tinyModel } from './support/tiny-model.ts';

const { path } = tinyModel({ vocabulary: 49408 });
const image = { prompt: 'a red apple', width: 64, height: 64, steps: 2, seed: 7 } as const;

test('a profile has the cost of every network, the most expensive operations first', async () => {
  await using model = await loadModel(path, { threads: 1, profile: true });
  assert.deepEqual(await model.profile(), []);
  await model.txt2img(image);
  const entries = await model.profile();
  assert.deepEqual(new Set(entries.map(({ network }) => network)), new Set(['text encoder', 'UNet', 'VAE decoder']));
  for (const { calls, seconds, flop, bytes } of entries)
    assert.ok(calls > 0 && seconds >= 0 && flop >= 0 && bytes >= 0);
  assert.deepEqual(
    entries,
    [...entries].sort((a, b) => b.seconds - a.seconds),
  );
});

test('operations are counted from the shapes: twice the steps are twice the work of the UNet', async () => {
  await using model = await loadModel(path, { threads: 1, profile: true });
  const total = async () => {
    const unet = (await model.profile()).filter(({ network }) => network === 'UNet');
    return unet.reduce((sum, { flop }) => sum + flop, 0);
  };
  await model.txt2img({ ...image, steps: 1 });
  const one = await total();
  assert.ok(one > 0);
  await model.txt2img(image);
  assert.equal(await total(), 3 * one);
});

test('a model that was loaded without the option has no profile, and one that was disposed of tells so', async () => {
  const model = await loadModel(path, { threads: 1 });
  await model.txt2img(image);
  assert.deepEqual(await model.profile(), []);
  await model.dispose();
  await assert.rejects(model.profile(), { code: 'ERR_DISPOSED' });
  // @ts-expect-error: no boolean
  await assert.rejects(loadModel(path, { profile: 'yes' }), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
});

test('DIFFUSE_PROFILE=1 prints a table on standard error', async () => {
  const main = modulePath('lib/cli/main.ts');
  const output = join(tmpdir(), `diffusion-profile-${process.pid}.png`);
  const args = [
    '-m',
    path,
    '-p',
    'a red apple',
    '-W',
    '64',
    '-H',
    '64',
    '--steps',
    '2',
    '-s',
    '1',
    '-t',
    '1',
    '-o',
    output,
  ];
  const env = { ...process.env, DIFFUSE_PROFILE: '1' };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [main, ...args], { env });
  await rm(output);
  assert.equal(stdout, '');
  const lines = stderr.trimEnd().split('\n');
  assert.match(lines[0] as string, /^network +operation +calls +seconds +share +GFLOP +GFLOP\/s +GB\/s$/);
  assert.match(lines.at(-1) as string, /^all +\d+ +\d+\.\d{3} +100\.0 %/);
  assert.ok(lines.some((line) => line.startsWith('UNet ')));
});
