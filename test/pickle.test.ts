// PyTorch checkpoints generate the same images as safetensors files with the same tensors, and none of their code is run.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspectModel, loadModel } from '../lib/index.ts';
import { modelName } from '../lib/loading/source.ts';
import type { TestTensor } from './support/safetensors.ts';
import { temporaryFolder, tinyModel } from './support/tiny-model.ts';
import { pickled, writeCheckpoint } from './support/torch-file.ts';

const folder = temporaryFolder();
let tensors: TestTensor[] = [];
const safetensors = tinyModel({ vocabulary: 49408, dtype: 'f16', edit: (all) => (tensors = all) }).path;

const checkpoint = join(folder, 'model.ckpt');
const bias = tensors.find(({ name }) => name === 'model.diffusion_model.out.2.bias') as TestTensor;
const averaged: TestTensor = { ...bias, name: 'model_ema.diffusion_modelout2bias' };
writeCheckpoint(
  checkpoint,
  [...tensors, averaged],
  [
    ['epoch', pickled.number(3)],
    ['pytorch-lightning_version', pickled.text('1.4.2')],
    ['optimizer_states', pickled.list([pickled.dict([['lr', pickled.number(1)]])])],
  ],
);

async function generate(path: string): Promise<Uint8Array> {
  await using model = await loadModel(path, { threads: 1 });
  const { images } = await model.txt2img({ prompt: 'a red apple', width: 64, height: 48, steps: 3, seed: 7 });
  return (images[0] as (typeof images)[0]).data;
}

test('a checkpoint generates the same image as a safetensors file with the same tensors', async () => {
  assert.deepEqual(await generate(checkpoint), await generate(safetensors));
});

test('a checkpoint is inspected like safetensors, and what training left in it is passed over', async () => {
  const { files, metadata, ...inspection } = await inspectModel(checkpoint);
  const { files: _, metadata: __, ...expected } = await inspectModel(safetensors);
  assert.deepEqual(inspection, expected);
  assert.deepEqual(
    files.map(({ format, tensors: count }) => [format, count]),
    [['pytorch', tensors.length + 1]],
  );
  assert.deepEqual(metadata, { epoch: '3', 'pytorch-lightning_version': '1.4.2' });
});

test('weights of a checkpoint stay in the file', async () => {
  await using model = await loadModel(checkpoint, { threads: 1 });
  await using other = await loadModel(safetensors, { threads: 1 });
  assert.deepEqual(model.info.mappedBytes, other.info.mappedBytes);
});

test('a checkpoint that calls a function is refused by the name of the function, which is not run', async () => {
  const path = join(folder, 'hostile.ckpt');
  const traces = join(folder, 'traces');
  writeCheckpoint(path, tensors.slice(0, 1), [
    ['epoch', pickled.call('posix', 'system', [pickled.text(`touch '${traces}'`)])],
  ]);
  const refusal = { name: 'DiffusionError', code: 'ERR_MODEL_UNSUPPORTED', message: /found class 'posix\.system'/ };
  await assert.rejects(loadModel(path), refusal);
  await assert.rejects(inspectModel(path), refusal);
  assert.ok(!existsSync(traces));
});

test('the name of a model is without the extensions of PyTorch', () => {
  for (const extension of ['ckpt', 'pt', 'pth', 'bin'])
    assert.equal(modelName({ model: `/a/sd-1.5.${extension}` }), 'sd-1.5');
});
