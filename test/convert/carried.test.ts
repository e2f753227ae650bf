// What a source says of itself is said by the file that it is converted into.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { convert, type Inspection, inspectModel, loadModel, loadUpscaler, type ModelSource } from '../../lib/index.ts';
import { psnr } from '../support/compare.ts';
import { type DiffusersNames, writeDiffusersFolder } from '../support/diffusers-folder.ts';
import { golden } from '../support/golden.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { tinyAutoencoder, writeTinyAutoencoder } from '../support/tiny-autoencoder.ts';
import { tinyControlNet } from '../support/tiny-control-net.ts';
import { tinyDpt } from '../support/tiny-depth.ts';
import { normalNoise, temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import { tinyRrdbNet, writeUpscaler } from '../support/tiny-upscalers.ts';

const VOCABULARY = 49408;
const names = golden<DiffusersNames>('networks.json');
let tensors: TestTensor[] = [];
tinyModel({ vocabulary: VOCABULARY, edit: (all) => (tensors = all) });
const pathOf = (name: string): string => join(temporaryFolder(), `carried-${name}`);

const mark = (name: string, values: number[] = []): TestTensor => ({
  name,
  dtype: 'f32',
  shape: [values.length],
  values: Float32Array.from(values),
});

async function generate(source: string | ModelSource, prompt = 'a red apple') {
  const messages: string[] = [];
  const logger = { warn: (message: string) => messages.push(message) };
  await using model = await loadModel(source, { device: 'cpu', threads: 1, precision: 'f32', logger });
  const { images } = await model.txt2img({ prompt, width: 32, height: 32, steps: 3, seed: 7 });
  return { pixels: images[0]?.data, messages, prediction: model.info.prediction, noise: model.info.noise };
}

const said = ({ family, prediction, noise, kind, missing, mismatched }: Inspection) => ({
  ...{ family, prediction, noise, kind, missing, mismatched },
});

/** Converts to both formats with the same values, and compares inspections and images. */
async function assertUnchanged(name: string, source: string | ModelSource, prompt?: string) {
  const expected = { ...said(await inspectModel(source)), ...(await generate(source, prompt)) };
  const outputs = [pathOf(`${name}.gguf`), pathOf(`${name}.safetensors`)];
  for (const output of outputs) {
    await convert(source, output);
    assert.deepEqual({ ...said(await inspectModel(output)), ...(await generate(output, prompt)) }, expected);
  }
  // And once more, from a file of the one format to one of the other.
  const again = pathOf(`${name}-again.gguf`);
  await convert(outputs[1] as string, again);
  assert.deepEqual({ ...said(await inspectModel(again)), ...(await generate(again, prompt)) }, expected);
  return expected;
}

function folder(name: string, all: readonly TestTensor[] = tensors): string {
  writeDiffusersFolder(pathOf(name), all, names);
  return pathOf(name);
}

function configure(path: string, file: string, content: object): void {
  mkdirSync(join(path, file, '..'), { recursive: true });
  writeFileSync(join(path, file), JSON.stringify(content));
}

test('marks of ComfyUI for v and a zero terminal SNR', async () => {
  const path = pathOf('marked.safetensors');
  writeSafetensors(path, [...tensors, mark('v_pred'), mark('ztsnr')]);
  const { noise, prediction } = await assertUnchanged('marks', path);
  assert.equal(prediction, 'v');
  assert.equal(noise?.zeroTerminalSnr, true);
});

test('a table of noise levels, in numbers that no type changes', async () => {
  const path = pathOf('levels.safetensors');
  const levels = Array.from({ length: 1000 }, (_, i) => Math.cos(((i + 1) / 1002) * (Math.PI / 2)) ** 2);
  writeSafetensors(path, [...tensors, mark('alphas_cumprod', levels)]);
  const { noise } = await assertUnchanged('table', path);
  assert.equal(noise?.schedule, 'alphas_cumprod');
  await convert(path, pathOf('table-q4.gguf'), { type: 'q4_0' });
  assert.deepEqual((await inspectModel(pathOf('table-q4.gguf'))).noise, noise);
});

test("a folder's scheduler", async () => {
  const source = folder('scheduler');
  configure(source, 'scheduler/scheduler_config.json', {
    ...{ _class_name: 'DDIMScheduler', beta_schedule: 'linear', beta_start: 0.0015, beta_end: 0.0155 },
    ...{ prediction_type: 'v_prediction', rescale_betas_zero_snr: true, timestep_spacing: 'trailing' },
    ...{ trained_betas: null, thresholding: false, num_train_timesteps: 1000 },
  });
  const { noise, prediction } = await assertUnchanged('of-scheduler', source);
  assert.equal(prediction, 'v');
  const expected = { schedule: 'linear', steps: 1000, zeroTerminalSnr: true, spacing: 'trailing', shift: undefined };
  assert.deepEqual(noise, expected);
});

test("a UNet's own word goes before that of the model whose other parts it takes", async () => {
  const [model, unet] = [pathOf('v.safetensors'), pathOf('unet.safetensors')];
  writeSafetensors(model, tensors, { 'modelspec.prediction_type': 'v', 'modelspec.title': 'A model' });
  writeSafetensors(unet, tensors, { 'modelspec.prediction_type': 'epsilon' });
  const { prediction } = await assertUnchanged('parts', { model, unet });
  assert.equal(prediction, 'epsilon');
  const { metadata } = await inspectModel(pathOf('parts.gguf'));
  assert.equal(metadata['modelspec.title'], 'A model');
});

test('an activation that the names of a text encoder do not tell', async () => {
  const source = folder('activation');
  configure(source, 'text_encoder/config.json', { hidden_act: 'gelu' });
  const expected = await inspectModel(source);
  assert.equal(expected.components.find(({ kind }) => kind === 'text_encoder')?.config.openClip, true);
  await convert(source, pathOf('gelu.gguf'));
  assert.deepEqual((await inspectModel(pathOf('gelu.gguf'))).components, expected.components);
});

test('words that tokenizers add', async () => {
  const normal = normalNoise(7);
  const longer = tensors.map((tensor) => {
    if (!tensor.name.endsWith('token_embedding.weight')) return tensor;
    const width = tensor.shape[1] as number;
    const rows = Float32Array.from({ length: 2 * width }, () => 0.5 * normal());
    return { ...tensor, shape: [VOCABULARY + 2, width], values: Float32Array.from([...tensor.values, ...rows]) };
  });
  const source = folder('words', longer);
  configure(source, 'tokenizer/added_tokens.json', { '<toy>': VOCABULARY, '<other "one">': VOCABULARY + 1 });
  const { messages, pixels } = await assertUnchanged('of-words', source, 'a photo of <toy>');
  assert.deepEqual(messages, []);
  assert.notDeepEqual((await generate(source, 'a photo of toy')).pixels, pixels);
});

test('metadata of every kind, through GGUF and back', async () => {
  const path = pathOf('metadata.safetensors');
  const metadata = { 'modelspec.author': 'Ünï\n"quoted"', ss_tag: '{"a": 1}', 'general.alignment': 'none', empty: '' };
  writeSafetensors(path, tensors, metadata);
  await convert(path, pathOf('metadata.gguf'), { type: 'f16' });
  const found = (await inspectModel(pathOf('metadata.gguf'))).metadata;
  const { 'general.alignment': _, ...kept } = metadata;
  assert.deepEqual(found, { ...kept, 'general.architecture': 'sd1', 'general.quantization_version': '2' });
  await convert(pathOf('metadata.gguf'), pathOf('metadata-again.safetensors'));
  assert.deepEqual((await inspectModel(pathOf('metadata-again.safetensors'))).metadata, kept);
});

test('a file alone keeps its names, without what no network reads', async () => {
  const path = pathOf('trained.safetensors');
  const copies = tensors.map((tensor) => ({ ...tensor, name: `model_ema.${tensor.name.replaceAll('.', '')}` }));
  writeSafetensors(path, [...tensors, ...copies]);
  const written = await convert(path, pathOf('alone.safetensors'));
  assert.equal(written.tensors, tensors.length);
  const { files, layout } = await inspectModel(pathOf('alone.safetensors'));
  assert.equal(files[0]?.tensors, tensors.length);
  assert.equal(layout, 'ldm');
});

test('a network that goes with a model works in another type', async () => {
  const files = {
    controlnet: tinyControlNet(),
    upscaler: writeUpscaler(tinyRrdbNet()),
    taesd: writeTinyAutoencoder(tinyAutoencoder()),
    depth: tinyDepthFile(),
  };
  for (const [kind, path] of Object.entries(files)) {
    for (const type of ['f16', 'q8_0'] as const) {
      await convert(path, pathOf(`${kind}-${type}.gguf`), { type });
      const [before, after] = [await inspectModel(path), await inspectModel(pathOf(`${kind}-${type}.gguf`))];
      assert.deepEqual([after.kind, after.files[0]?.tensors], [before.kind, before.files[0]?.tensors]);
    }
  }
  const model = pathOf('plain.safetensors');
  writeSafetensors(model, tensors);
  const image = { width: 32, height: 32, data: Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => (i * 37) % 256) };
  const controlled = async (net: string) => {
    await using opened = await loadModel(model, { device: 'cpu', threads: 1, precision: 'f32' });
    const controls = [{ model: net, image }];
    const { images } = await opened.txt2img({
      prompt: 'a red apple',
      width: 32,
      height: 32,
      steps: 2,
      seed: 1,
      controls,
    });
    return images[0]?.data as Uint8Array;
  };
  const original = await controlled(files.controlnet);
  assert.ok(psnr(await controlled(pathOf('controlnet-q8_0.gguf')), original, 255) > 35);
  const enlarged = async (path: string) => {
    await using upscaler = await loadUpscaler(path, { device: 'cpu', threads: 1, precision: 'f32' });
    return (await upscaler.upscale(image)).data;
  };
  assert.ok(psnr(await enlarged(pathOf('upscaler-f16.gguf')), await enlarged(files.upscaler), 255) > 50);
});

/** A depth estimator alone. */
function tinyDepthFile(): string {
  writeSafetensors(pathOf('depth.safetensors'), tinyDpt());
  return pathOf('depth.safetensors');
}

test('a LoRA keeps its tensors', async () => {
  const lora = new URL('../../../test/reference/loras.safetensors', import.meta.url).pathname;
  const before = await inspectModel(lora);
  await convert(lora, pathOf('lora.gguf'), { type: 'f16' });
  const after = await inspectModel(pathOf('lora.gguf'));
  assert.equal(after.kind, before.kind);
  assert.equal(after.files[0]?.tensors, before.files[0]?.tensors);
});
