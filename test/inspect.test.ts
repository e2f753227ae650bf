// What a file is for, by the names of its tensors: models and what goes with them.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspectModel, loadModel } from '../lib/index.ts';
import { diffuse } from './cli/command.ts';
import { type TestTensor, writeSafetensors } from './support/safetensors.ts';
import { sd2Architecture } from './support/tiny-architectures.ts';
import { tinyControlNet } from './support/tiny-control-net.ts';
import { temporaryFolder, tinyModel } from './support/tiny-model.ts';
import { STORED } from './support/tiny-projections.ts';

const LAYER = 'down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q';
const DOTTED = 'down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q';

let count = 0;
function write(tensors: Record<string, number[]>): string {
  const path = join(temporaryFolder(), `kind-${count++}.safetensors`);
  const zeros = (shape: number[]) => new Float32Array(shape.reduce((product, side) => product * side, 1));
  writeSafetensors(
    path,
    Object.entries(tensors).map(([name, shape]) => ({ name, dtype: 'f32' as const, shape, values: zeros(shape) })),
  );
  return path;
}

/** Each kind as its tools spell it. */
const FILES: readonly [kind: string | undefined, what: string, tensors: Record<string, number[]>][] = [
  ['lora', 'of kohya-ss', { [`lora_unet_${LAYER}.lora_up.weight`]: [32, 4], [`lora_unet_${LAYER}.alpha`]: [] }],
  ['lora', 'of PEFT', { [`unet.${DOTTED}.lora_A.weight`]: [4, 32], [`unet.${DOTTED}.lora_B.weight`]: [32, 4] }],
  ['lora', 'of PEFT for a UNet alone', { [`${DOTTED}.lora_A.weight`]: [4, 32], [`${DOTTED}.lora_B.weight`]: [32, 4] }],
  ['lora', 'of LyCORIS', { [`lycoris_${LAYER}.hada_w1_a`]: [32, 4], [`lycoris_${LAYER}.hada_w1_b`]: [4, 32] }],
  ['embedding', 'of AUTOMATIC1111', { 'string_to_param.*': [2, 768] }],
  ['embedding', 'of kohya-ss', { emb_params: [768] }],
  ['embedding', 'of diffusers', { '<cat-toy>': [1, 768] }],
  ['embedding', 'of SDXL', { clip_l: [2, 768], clip_g: [2, 1280] }],
  ['embedding', 'of pivotal tuning', { text_encoders_0: [2, 768], text_encoders_1: [2, 1280] }],
  ['embedding', 'of several words', { '<one>': [768], '<two>': [3, 768] }],
  [
    'controlnet',
    'of diffusers',
    { 'controlnet_cond_embedding.conv_in.weight': [16, 3, 3, 3], 'controlnet_mid_block.weight': [64, 64, 1, 1] },
  ],
  [
    'taesd',
    'of diffusers',
    { 'decoder.layers.0.weight': [64, 4, 3, 3], 'decoder.layers.2.conv.4.weight': [64, 64, 3, 3] },
  ],
  ['taesd', 'of its author, the encoder', { '0.weight': [64, 3, 3, 3], '1.conv.4.weight': [64, 64, 3, 3] }],
  ['upscaler', 'of Real-ESRGAN', { 'conv_first.weight': [64, 3, 3, 3], 'body.0.rdb1.conv1.weight': [32, 64, 3, 3] }],
  ['upscaler', 'with averaged weights', { 'params_ema.conv_first.weight': [64, 3, 3, 3] }],
  ['upscaler', 'of ESRGAN', { 'model.0.weight': [64, 3, 3, 3], 'model.1.sub.0.RDB1.conv1.0.weight': [32, 64, 3, 3] }],
  ['upscaler', 'of Real-ESRGAN, compact', { 'body.0.weight': [64, 3, 3, 3], 'body.1.weight': [64] }],
  [
    'depth',
    'of MiDaS',
    { 'pretrained.model.cls_token': [1, 1, 768], 'scratch.refinenet1.out_conv.weight': [8, 8, 1, 1] },
  ],
  [
    'depth',
    'of transformers',
    { 'dpt.embeddings.cls_token': [1, 1, 768], 'neck.fusion_stage.layers.0.projection.weight': [8, 8, 1, 1] },
  ],
  ['model', 'a language model', { 'model.layers.0.self_attn.q_proj.weight': [64, 64] }],
  [undefined, 'a single matrix', { 'linear.weight': [64, 64] }],
  [undefined, 'nothing', {}],
];

test('a file is recognised by the names of its tensors', async () => {
  for (const [kind, what, tensors] of FILES) {
    assert.equal((await inspectModel(write(tensors))).kind, kind, what);
  }
  assert.equal((await inspectModel(tinyControlNet())).kind, 'controlnet');
});

test('a model and each part of it are models', async () => {
  assert.equal((await inspectModel(tinyModel().path)).kind, 'model');
  for (const prefix of ['model.diffusion_model.', 'first_stage_model.', 'cond_stage_model.']) {
    const { path } = tinyModel({ edit: (tensors) => tensors.filter(({ name }) => name.startsWith(prefix)) });
    assert.equal((await inspectModel(path)).kind, 'model', prefix);
  }
});

test('a UNet alone is of the family that the width of its context tells, whichever way its projections are stored', async () => {
  const isUnet = ({ name }: TestTensor) => name.startsWith('model.diffusion_model.');
  for (const [width, expected] of [
    [768, 'sd1'],
    [1024, 'sd2'],
  ] as const) {
    for (const edit of Object.values(STORED)) {
      const text = { width, layers: 1, positions: 77 };
      const { path } = tinyModel({
        architecture: { ...sd2Architecture, text },
        edit: (tensors) => edit(tensors.filter(isUnet)),
      });
      assert.equal((await inspectModel(path)).family, expected);
    }
  }
});

test('what only goes with a model is refused by its kind where a model is to be loaded', async () => {
  for (const [kind, what, tensors] of FILES) {
    const found = {
      lora: /found a LoRA; pass it in `loras`/,
      embedding: /pass it in `embeddings`/,
      upscaler: /found an upscaler/,
    }[kind ?? ''];
    const message = found ?? /expected|no tensors/i;
    await assert.rejects(loadModel(write(tensors)), (error: Error & { code: string }) => {
      assert.match(error.code, /^ERR_MODEL_/, what);
      assert.match(error.message, message, what);
      return true;
    });
  }
});

test('diffuse inspect says what a file is, without lists of what a model would have', async () => {
  const { code, stdout, stderr } = await diffuse(['inspect', write(FILES[0]?.[2] ?? {})]);
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(String(stdout), /^kind +LoRA$/m);
  assert.doesNotMatch(String(stdout), /unused|family|missing/);
});
