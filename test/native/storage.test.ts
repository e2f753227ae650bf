// Weights stored by other programs generate the same image as the same values in f32.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspectModel, loadModel } from '../../lib/index.ts';
import { writeGguf } from '../support/gguf.ts';
import {
  type StoredTensor,
  type TestTensor,
  toBytes,
  toHalf,
  writeSafetensors,
  writeStored,
} from '../support/safetensors.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

const unet = 'model.diffusion_model.';
let tensors: TestTensor[] = [];
tinyModel({ vocabulary: 49408, edit: (all) => (tensors = all) });

const isMatrix = ({ name, shape }: TestTensor): boolean => name.startsWith(unet) && shape.length > 1;
const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

async function generate(paths: Parameters<typeof loadModel>[0], mmap = true): Promise<Uint8Array> {
  await using model = await loadModel(paths, { device: 'cpu', threads: 1, precision: 'f32', mmap });
  const { images } = await model.txt2img({ prompt: 'a red apple', width: 64, height: 48, steps: 2, seed: 7 });
  return (images[0] as (typeof images)[0]).data;
}

const pathOf = (name: string): string => join(temporaryFolder(), name);

const inF32 = (tensor: TestTensor): StoredTensor => ({ ...tensor, dtype: 'F32', data: toBytes(tensor.values) });

/** The upper halves of f16 numbers are those of e5m2. */
const upper = (values: Float32Array): Buffer => toHalf(values).filter((_, i) => i % 2 === 1) as Buffer;

const e5m2 = Float32Array.from({ length: 256 }, (_, bits) => {
  const [exponent, mantissa] = [(bits >> 2) & 31, bits & 3];
  const value = exponent > 0 ? (1 + mantissa / 4) * 2 ** (exponent - 15) : mantissa * 2 ** -16;
  return bits & 128 ? -value : value;
});

const widened = (data: Buffer, scale = 1): Float32Array =>
  Float32Array.from(data, (bits) => Math.fround((e5m2[bits] as number) * Math.fround(scale)));

async function drawsAlike(name: string, stored: readonly StoredTensor[], oracle: readonly TestTensor[]): Promise<void> {
  writeStored(pathOf(`${name}.safetensors`), stored);
  writeSafetensors(pathOf(`${name}-oracle.safetensors`), oracle);
  assert.deepEqual(await generate(pathOf(`${name}.safetensors`)), await generate(pathOf(`${name}-oracle.safetensors`)));
}

test('8-bit floats', async () => {
  const stored = tensors.map((t) => (isMatrix(t) ? { ...t, dtype: 'F8_E5M2', data: upper(t.values) } : inF32(t)));
  const oracle = tensors.map((t) => (isMatrix(t) ? { ...t, values: widened(upper(t.values)) } : t));
  await drawsAlike('e5m2', stored, oracle);
  const { components } = await inspectModel(pathOf('e5m2.safetensors'));
  const types = components.find(({ kind }) => kind === 'unet')?.types;
  assert.equal(types?.f8_e5m2, tensors.filter(isMatrix).length);
});

test('8-bit floats in the text encoder, looked up and multiplied', async () => {
  const isText = ({ name, shape }: TestTensor): boolean => name.startsWith('cond_stage_model.') && shape.length > 1;
  const stored = tensors.map((t) => (isText(t) ? { ...t, dtype: 'F8_E5M2', data: upper(t.values) } : inF32(t)));
  const oracle = tensors.map((t) => (isText(t) ? { ...t, values: widened(upper(t.values)) } : t));
  await drawsAlike('text', stored, oracle);
});

test('8-bit floats with scales', async () => {
  const [scale, spelling] = [0.73, { '.scale_weight': [1], '.weight_scale': [] } as Record<string, number[]>];
  const stored = tensors.flatMap((t, i): StoredTensor[] => {
    if (!isMatrix(t) || !t.name.endsWith('.weight')) return [inF32(t)];
    const [ending, shape] = Object.entries(spelling)[i % 2] as [string, number[]];
    const data = toBytes(Float32Array.of(scale));
    return [
      { ...t, dtype: 'F8_E5M2', data: upper(t.values) },
      { name: t.name.replace(/\.weight$/, ending), dtype: 'F32', shape, data },
    ];
  });
  const marker = { name: `${unet}scaled_fp8`, dtype: 'F8_E5M2', shape: [0], data: Buffer.alloc(0) };
  const oracle = tensors.map((t) => (isMatrix(t) ? { ...t, values: widened(upper(t.values), scale) } : t));
  await drawsAlike('scaled', [...stored, marker], oracle);
});

test('double precision, with counters of training', async () => {
  const stored = tensors.map((t) => ({ ...t, dtype: 'F64', data: Buffer.from(Float64Array.from(t.values).buffer) }));
  const step = { name: 'global_step', dtype: 'I64', shape: [], data: Buffer.alloc(8) };
  await drawsAlike('f64', [...stored, step], tensors);
});

test('names that training has wrapped', async () => {
  const wrapped = tensors.map((t) => ({ ...inF32(t), name: `module.${t.name}` }));
  await drawsAlike('wrapped', wrapped, tensors);
});

test("UNets in the rows of ComfyUI-GGUF, whose blocks cross the tensors' own", async () => {
  // Whole multiples of 1/2048 with the largest in each block, which q8_0 holds exactly.
  const exact = tensors.map((t): TestTensor => {
    if (!isMatrix(t)) return t;
    const values = t.values.map(
      (x, i) => (i % 32 === 0 ? 127 : Math.max(-127, Math.min(127, Math.round(x * 2048)))) / 2048,
    );
    return { ...t, values };
  });
  const bare = exact.flatMap((t) => (t.name.startsWith(unet) ? [{ ...t, name: t.name.slice(unet.length) }] : []));
  const inRows = ({ shape }: TestTensor): boolean => shape.length > 1 && product(shape) % 256 === 0;
  writeGguf(pathOf('rows.gguf'), bare, (t) => (inRows(t) ? 'q8_0' : 'f32'), inRows);
  writeSafetensors(pathOf('rows-oracle.safetensors'), exact);
  const model = { model: pathOf('rows-oracle.safetensors'), unet: pathOf('rows.gguf') };
  assert.deepEqual(await generate(model), await generate(pathOf('rows-oracle.safetensors')));
  assert.deepEqual(await generate(model, false), await generate(pathOf('rows-oracle.safetensors')));
});
