// Weights in every type, against the package gguf (test/reference/conversion.py), ggml's own reading and the images that they make.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import {
  CONVERSION_TYPES,
  type ConversionType,
  type ConvertOptions,
  convert,
  EMBEDDED_MODEL,
  inspectModel,
  loadModel,
} from '../../lib/index.ts';
import { addon, never } from '../support/addon.ts';
import { assertClose, psnr } from '../support/compare.ts';
import { golden } from '../support/golden.ts';
import { readSafetensors, type TestTensor, toHalf, writeSafetensors } from '../support/safetensors.ts';
import { normalNoise, temporaryFolder, tinyModel } from '../support/tiny-model.ts';

const pathOf = (name: string): string => join(temporaryFolder(), name);

const SHAPE = [64, 512];
const filled = (value: (i: number) => number, shape = SHAPE) =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i));

function written(name: string, tensors: readonly Pick<TestTensor, 'name' | 'shape' | 'values'>[]): string {
  const path = pathOf(name);
  writeSafetensors(
    path,
    tensors.map((tensor) => ({ ...tensor, dtype: 'f32' })),
  );
  return path;
}

async function numbersOf(path: string): Promise<Map<string, Float32Array>> {
  const tensors = await addon.readTensors(path, 2 ** 24, never);
  return new Map(tensors.map(({ name, values }) => [name, values]));
}

/** The data behind the header of a GGUF file with one tensor. */
const dataOf = (path: string, bytes: number): Buffer => readFileSync(path).subarray(-Math.ceil(bytes / 32) * 32);

test('numbers become the bytes that the package gguf makes of them', async () => {
  const source = written('exact.safetensors', [
    { name: 'layer.weight', shape: SHAPE, values: filled((i) => (((i * 7919) % 10007) - 5003) / 5003) },
  ]);
  for (const [type, expected] of Object.entries(golden<Record<string, string>>('conversion.json'))) {
    const output = pathOf(`exact-${type}.gguf`);
    const { types } = await convert(source, output, { type: type as ConversionType });
    assert.deepEqual(types, { [type]: 1 });
    const bits = { f32: 32, f16: 16, bf16: 16, q8_0: 8.5, q5_1: 6, q5_0: 5.5, q4_1: 5, q4_0: 4.5 }[type] as number;
    const data = dataOf(output, (64 * 512 * bits) / 8);
    assert.equal(createHash('sha256').update(data).digest('hex'), expected, type);
  }
});

describe('normally distributed weights in each type, read again', () => {
  const normal = normalNoise(5);
  const values = filled(() => normal());
  const source = written('normal.safetensors', [{ name: 'layer.weight', shape: SHAPE, values }]);
  /** The least signal-to-noise ratio in decibels. */
  const least: Record<ConversionType, number> = {
    ...{ f32: Number.POSITIVE_INFINITY, f16: 73, bf16: 55, q8_0: 43, q6_k: 34, q5_k: 27.5, q5_1: 28, q5_0: 26 },
    ...{ q4_k: 21, q4_1: 22, q4_0: 20, iq4_nl: 21, iq4_xs: 21, q3_k: 15, q2_k: 9.5 },
  };
  for (const type of CONVERSION_TYPES) {
    it(`${type} has at least ${least[type]} dB`, async () => {
      const output = pathOf(`normal-${type}.gguf`);
      const { types } = await convert(source, output, { type });
      assert.deepEqual(types, { [type]: 1 });
      const read = (await numbersOf(output)).get('layer.weight') as Float32Array;
      assert.ok(psnr(read, values, 1) >= least[type], `${psnr(read, values, 1)} dB`);
    });
  }
});

test('a file of f32, f16 and bf16 has exactly the numbers rounded to them', async () => {
  let tensors: TestTensor[] = [];
  const { path } = tinyModel({ edit: (all) => (tensors = all) });
  await convert(path, pathOf('tiny-f32.safetensors'), { type: 'f32' });
  const exact = readSafetensors(pathOf('tiny-f32.safetensors'));
  assert.equal(exact.size, tensors.length);
  for (const { name, shape, values } of tensors) assert.deepEqual(exact.get(name), { shape, values });
  for (const [type, round] of [
    ['f16', (values: Float32Array) => toHalf(values)],
    ['bf16', (values: Float32Array) => Buffer.from(values.buffer)],
  ] as const) {
    await convert(path, pathOf(`tiny-${type}.gguf`), { type });
    // And from it to f32, which loses nothing.
    await convert(pathOf(`tiny-${type}.gguf`), pathOf(`tiny-${type}.safetensors`), { type: 'f32' });
    const read = readSafetensors(pathOf(`tiny-${type}.safetensors`));
    for (const { name, values } of tensors) {
      const found = read.get(name)?.values as Float32Array;
      if (type === 'f16') assert.deepEqual(toHalf(found), round(values), name);
      else assertClose(found, values, 2 ** -8);
    }
  }
});

test('the embedded model generates its image in every type', async () => {
  const generate = async (path: string) => {
    await using model = await loadModel(path, { device: 'cpu', threads: 1, precision: 'f32' });
    const { images } = await model.txt2img({ prompt: 'a red apple', width: 64, height: 64, steps: 6, seed: 3 });
    return images[0]?.data as Uint8Array;
  };
  const original = await generate(EMBEDDED_MODEL);
  const least: Record<ConversionType, number> = {
    ...{ f32: Number.POSITIVE_INFINITY, f16: 58, bf16: 41, q8_0: 31, q6_k: 29, q5_k: 20, q5_1: 21, q5_0: 19 },
    ...{ q4_k: 19, q4_1: 17, q4_0: 16, iq4_nl: 18, iq4_xs: 18, q3_k: 14, q2_k: 12 },
  };
  const sizes: number[] = [];
  for (const type of CONVERSION_TYPES) {
    const output = pathOf(`embedded-${type}.gguf`);
    const { bytes } = await convert(EMBEDDED_MODEL, output, { type });
    assert.equal(statSync(output).size, bytes);
    sizes.push(bytes);
    const found = psnr(await generate(output), original, 255);
    assert.ok(found >= least[type], `${type}: ${found} dB`);
  }
  assert.ok((sizes.at(-1) as number) < 0.27 * (sizes[0] as number), `${sizes}`);
});

describe('which tensors get the type', () => {
  const edited = tinyModel();
  const typesOf = async (options: ConvertOptions, name = 'choice.gguf') => {
    await convert(edited.path, pathOf(name), options);
    const { components } = await inspectModel(pathOf(name));
    return Object.fromEntries(components.map(({ kind, types }) => [kind, Object.keys(types).sort()]));
  };

  it('the VAE, vectors, embeddings, first and last layers are not quantized', async () => {
    const types = await typesOf({ type: 'q4_0' });
    assert.deepEqual(types.vae, ['f16', 'f32']);
    assert.deepEqual(types.unet, ['f16', 'f32', 'q4_0']);
    const file = readFileSync(pathOf('choice.gguf'));
    // The type's number stands behind the name, the number of dimensions and the dimensions.
    const typeOf = (name: string) => {
      const at = file.lastIndexOf(name) + name.length;
      return file.readUInt32LE(at + 4 + 8 * file.readUInt32LE(at));
    };
    const [f32, f16, q4] = [0, 1, 2];
    assert.equal(typeOf('model.diffusion_model.input_blocks.0.0.weight'), f16);
    assert.equal(typeOf('model.diffusion_model.out.2.weight'), f16);
    assert.equal(typeOf('model.diffusion_model.time_embed.0.weight'), f16);
    assert.equal(typeOf('model.diffusion_model.out.0.bias'), f32);
    assert.equal(typeOf('token_embedding.weight'), f16);
    assert.equal(typeOf('encoder.layers.0.mlp.fc1.weight'), q4);
    // A convolution, as a matrix of rows of 256.
    assert.equal(typeOf('model.diffusion_model.middle_block.0.in_layers.2.weight'), q4);
  });

  it('convolutions stay in f16 where that is asked for', async () => {
    const { types } = await convert(edited.path, pathOf('kernels.gguf'), { type: 'q4_0' });
    const { types: kept } = await convert(edited.path, pathOf('kept.gguf'), { type: 'q4_0', keepConvolutions: true });
    assert.ok((types.q4_0 as number) > (kept.q4_0 as number), JSON.stringify([types, kept]));
    const [all, some] = [await numbersOf(pathOf('kernels.gguf')), await numbersOf(pathOf('kept.gguf'))];
    assert.deepEqual([...all.keys()], [...some.keys()]);
  });

  it('rules decide by names, the first that fits, for tensors that would not be quantized too', async () => {
    const tensorTypeRules = 'first_stage_model.{1,40}conv=Q8_0,first_stage_model=bf16,^cond_stage=f32';
    const types = await typesOf({ type: 'f16', tensorTypeRules });
    assert.deepEqual(types, { text_encoder: ['f32'], unet: ['f16'], vae: ['bf16', 'f16', 'f32', 'q8_0'] });
  });

  it('without a type every tensor keeps its own', async () => {
    const types = await typesOf({ tensorTypeRules: 'first_stage_model.decoder=f16' });
    assert.deepEqual(types, { text_encoder: ['f32'], unet: ['f32'], vae: ['f16', 'f32'] });
  });

  it('a type with smaller blocks takes the place of one whose blocks do not fit', async () => {
    const shape = [2, 96];
    const source = written('odd.safetensors', [
      { name: 'fits.weight', shape: [2, 256], values: filled((i) => i, [2, 256]) },
      { name: 'smaller.weight', shape, values: filled((i) => i, shape) },
      { name: 'none.weight', shape: [96, 2], values: filled((i) => i, shape) },
    ]);
    const expected = { q6_k: 'q8_0', q5_k: 'q5_1', q4_k: 'q5_0', q3_k: 'iq4_nl', q2_k: 'iq4_nl', iq4_xs: 'iq4_nl' };
    for (const [type, instead] of Object.entries(expected)) {
      const { types } = await convert(source, pathOf('odd.gguf'), { type: type as ConversionType });
      assert.deepEqual(types, { [type]: 1, [instead]: 1, f16: 1 });
    }
  });
});
