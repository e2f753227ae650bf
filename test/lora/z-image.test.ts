// LoRAs of Z-Image in the spellings that trainers write, against the model with the same changes in its weights.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NativeModel } from '../../lib/native/contract.ts';
import { loadAddon } from '../../lib/native/load.ts';
import { never } from '../support/addon.ts';
import { assertClose, largestError } from '../support/compare.ts';
import { goldenTensors } from '../support/golden.ts';
import type { TestTensor } from '../support/safetensors.ts';
import { normalNoise } from '../support/tiny-model.ts';
import { tinyZImage, writePart, zImageFolder, zImageTensors } from '../support/tiny-z-image.ts';

const RANK = 3;
const LAYERS = [
  ...['layers.0.attention.qkv', 'noise_refiner.0.attention.qkv', 'layers.1.attention.out', 'layers.1.feed_forward.w1'],
  ...['layers.0.feed_forward.w2', 'layers.0.adaLN_modulation.0', 'context_refiner.0.feed_forward.w3', 'cap_embedder.1'],
  ...['x_embedder', 'final_layer.linear'],
];

/** Of one layer, in its original spelling: its change is `up down`. */
interface Change {
  readonly layer: string;
  readonly up: TestTensor;
  readonly down: TestTensor;
}

const noise = normalNoise(21);
const matrix = (rows: number, columns: number): TestTensor => ({
  name: '',
  dtype: 'f32',
  shape: [rows, columns],
  values: Float32Array.from({ length: rows * columns }, () => 0.1 * noise()),
});

const changes: readonly Change[] = LAYERS.map((layer) => {
  const weight = zImageTensors().denoiser.find(({ name }) => name === `${layer}.weight`);
  const [rows = 0, columns = 0] = weight?.shape ?? [];
  return { layer, up: matrix(rows, RANK), down: matrix(RANK, columns) };
});

function merged(): TestTensor[] {
  return zImageTensors().denoiser.map((tensor) => {
    const change = changes.find(({ layer }) => `${layer}.weight` === tensor.name);
    if (!change) return tensor;
    const columns = tensor.shape[1] as number;
    const values = tensor.values.map((value, i) => {
      const [row, column] = [Math.floor(i / columns), i % columns];
      let sum = value;
      for (let r = 0; r < RANK; r++) {
        sum += (change.up.values[row * RANK + r] as number) * (change.down.values[r * columns + column] as number);
      }
      return sum;
    });
    return { ...tensor, values };
  });
}

/** The third of joint queries, keys and values. */
function third(up: TestTensor, i: number): TestTensor {
  const [rows = 0] = up.shape;
  const values = up.values.subarray((i * rows * RANK) / 3, ((i + 1) * rows * RANK) / 3);
  return { ...up, shape: [rows / 3, RANK], values };
}

/** As diffusers names the layers: queries, keys and values apart. */
const split: readonly Change[] = changes.flatMap((change) => {
  if (!change.layer.endsWith('.qkv')) return [change];
  return ['to_q', 'to_k', 'to_v'].map((part, i) => ({
    ...change,
    layer: change.layer.replace('qkv', part),
    up: third(change.up, i),
  }));
});

const diffusersName = (layer: string) =>
  layer
    .replace(/^x_embedder$/, 'all_x_embedder.2-1')
    .replace(/^final_layer\./, 'all_final_layer.2-1.')
    .replace(/\.attention\.out$/, '.attention.to_out.0');

const peft = (all: readonly Change[], name: (layer: string) => string): TestTensor[] =>
  all.flatMap(({ layer, up, down }) => [
    { ...up, name: `${name(layer)}.lora_B.weight` },
    { ...down, name: `${name(layer)}.lora_A.weight` },
  ]);

const kohya = (all: readonly Change[], prefix: string): TestTensor[] =>
  all.flatMap(({ layer, up, down }) => {
    const name = `${prefix}${layer.replaceAll('.', '_')}`;
    const alpha = { name: `${name}.alpha`, dtype: 'f32' as const, shape: [], values: Float32Array.of(RANK) };
    return [{ ...up, name: `${name}.lora_up.weight` }, { ...down, name: `${name}.lora_down.weight` }, alpha];
  });

const SPELLINGS: Readonly<Record<string, TestTensor[]>> = {
  'PEFT after diffusion_model., original names': peft(changes, (layer) => `diffusion_model.${layer}`),
  'PEFT after diffusion_model., names of diffusers': peft(split, (layer) => `diffusion_model.${diffusersName(layer)}`),
  'PEFT after transformer.': peft(split, (layer) => `transformer.${diffusersName(layer)}`),
  'PEFT without anything before': peft(split, diffusersName),
  'kohya-ss, joint': kohya(changes, 'lora_unet_'),
  'kohya-ss, apart': kohya(split, 'lora_unet_'),
  OneTrainer: kohya(split, 'lora_transformer_'),
};

const files = tinyZImage();
const goldens = goldenTensors('z_image.safetensors');

const open = (model: string): Promise<NativeModel> =>
  loadAddon().open(
    { unet: model, llm: files.language, vae: files.vae },
    { device: 'cpu', threads: 1, precision: 'f32', cancellation: never },
  );

async function predict(model: NativeModel, tensors?: readonly TestTensor[]): Promise<Float32Array> {
  const input = (name: string) => {
    const { values, shape } = goldens.get(name) as { values: Float32Array; shape: number[] };
    return { data: values, shape };
  };
  const loras = tensors && (await model.openLoras([{ path: writePart(tensors), weight: 1 }], never, true));
  assert.equal(loras?.reports[0]?.applied, tensors?.length);
  const timesteps = { data: Float32Array.of(601.5), shape: [1] };
  const inputs = { latent: input('odd.latent'), timesteps, context: input('odd.context') };
  const { prediction } = await model.evaluate('transformer', inputs, { loras }, never);
  return prediction as Float32Array;
}

test('LoRAs in every spelling are the changes that they describe', async () => {
  const whole = await open(writePart(merged()));
  const expected = await predict(whole);
  await whole.dispose();
  for (const path of [files.denoiser, zImageFolder()]) {
    const model = await open(path);
    const plain = await predict(model);
    assert.ok(largestError(plain, expected) > 0.05);
    for (const [name, tensors] of Object.entries(SPELLINGS)) {
      const changed = await predict(model, tensors);
      assert.doesNotThrow(() => assertClose(changed, expected, 1e-5), name);
    }
    assert.deepEqual(await predict(model), plain);
    await model.dispose();
  }
});

test('a LoRA of another family is refused', async () => {
  const model = await open(files.denoiser);
  const tensors = peft(changes, (layer) => `unet.down_blocks.0.${layer}`);
  await assert.rejects(predict(model, tensors), { code: 'ERR_MODEL_MISMATCH' });
  await model.dispose();
});
