// Measures steps of the transformer of Z-Image at its real width with a few layers of random weights, for each type of weights.
// The models take turns. Prints a table for docs/performance.md.
//
// usage: node dist/bench/z-image.js [--layers N] [--size N] [--rounds N] [TYPE...]
// A type is `f32` or `bf16`, in which the CPU then multiplies, or one that `loadModel` converts to. The whole network has 30
// layers; the language model and the VAE are tiny here and have no part in a step. `processor` is the time of all threads,
// which other programs disturb less.

import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type LoadOptions, loadModel, type Model } from '../lib/index.ts';
import { normalNoise } from '../test/support/tiny-model.ts';
import { tinyZImage, Z_IMAGE } from '../test/support/tiny-z-image.ts';
import { measureSteps } from './steps.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    layers: { type: 'string', default: '2' },
    size: { type: 'string', default: '512' },
    rounds: { type: 'string', default: '3' },
  },
});
const [layers, size, rounds] = [values.layers, values.size, values.rounds].map(Number) as [number, number, number];
const types = positionals.length > 0 ? positionals : ['f32', 'bf16', 'q8_0', 'q4_0'];

const WIDTH = 3840;
const INTERMEDIATE = 10_240;
const TIME = 256;

/** The shapes of all tensors, with one refiner of each kind. */
function shapes(): Map<string, readonly number[]> {
  const found = new Map<string, readonly number[]>();
  const linear = (name: string, outputs: number, inputs: number) => {
    found.set(`${name}.weight`, [outputs, inputs]);
    found.set(`${name}.bias`, [outputs]);
  };
  const block = (name: string, modulated: boolean) => {
    found.set(`${name}.attention.qkv.weight`, [3 * WIDTH, WIDTH]);
    found.set(`${name}.attention.out.weight`, [WIDTH, WIDTH]);
    for (const norm of ['q_norm', 'k_norm']) found.set(`${name}.attention.${norm}.weight`, [128]);
    for (const norm of ['attention_norm1', 'attention_norm2', 'ffn_norm1', 'ffn_norm2']) {
      found.set(`${name}.${norm}.weight`, [WIDTH]);
    }
    found.set(`${name}.feed_forward.w1.weight`, [INTERMEDIATE, WIDTH]);
    found.set(`${name}.feed_forward.w2.weight`, [WIDTH, INTERMEDIATE]);
    found.set(`${name}.feed_forward.w3.weight`, [INTERMEDIATE, WIDTH]);
    if (modulated) linear(`${name}.adaLN_modulation.0`, 4 * WIDTH, TIME);
  };
  linear('x_embedder', WIDTH, 4 * Z_IMAGE.latentChannels);
  linear('t_embedder.mlp.0', 1024, 256);
  linear('t_embedder.mlp.2', TIME, 1024);
  found.set('cap_embedder.0.weight', [Z_IMAGE.language.width]);
  linear('cap_embedder.1', WIDTH, Z_IMAGE.language.width);
  found.set('x_pad_token', [1, WIDTH]);
  found.set('cap_pad_token', [1, WIDTH]);
  block('noise_refiner.0', true);
  block('context_refiner.0', false);
  for (let i = 0; i < layers; i++) block(`layers.${i}`, true);
  linear('final_layer.adaLN_modulation.1', WIDTH, TIME);
  linear('final_layer.linear', 4 * Z_IMAGE.latentChannels, WIDTH);
  return found;
}

/** Random numbers in bf16, the same million again and again. */
function randomBlock(scale: number): Buffer {
  const noise = normalNoise(1);
  const values = Float32Array.from({ length: 2 ** 20 }, () => scale * noise());
  const bits = new Uint32Array(values.buffer);
  return Buffer.from(Uint16Array.from(bits, (single) => single >>> 16).buffer);
}

function writeDenoiser(path: string): void {
  const header: Record<string, unknown> = {};
  let offset = 0;
  const all = [...shapes()];
  for (const [name, shape] of all) {
    const end = offset + 2 * shape.reduce((a, b) => a * b);
    header[name] = { dtype: 'BF16', shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = openSync(path, 'w');
  writeSync(file, Buffer.concat([length, json]));
  const block = randomBlock(0.7 / Math.sqrt(WIDTH));
  for (const [, shape] of all) {
    for (let left = 2 * shape.reduce((a, b) => a * b); left > 0; left -= block.length) {
      writeSync(file, block, 0, Math.min(left, block.length));
    }
  }
  closeSync(file);
}

/** Floating-point operations of a step. */
async function flopOf(model: Model): Promise<number> {
  await model.txt2img({ prompt: 'a red apple', width: size, height: size, steps: 1, seed: 1 });
  const profile = await model.profile();
  const own = profile.filter(({ network }) => network === 'transformer');
  return own.reduce((sum, { flop }) => sum + flop, 0);
}

const path = join(tmpdir(), `z-image-${process.pid}.safetensors`);
try {
  writeDenoiser(path);
  const { language, vae } = tinyZImage();
  const open = (options: LoadOptions) => loadModel({ model: path, llm: language, vae }, { device: 'cpu', ...options });
  const optionsOf = (type: string): LoadOptions =>
    type === 'f32' || type === 'bf16' ? { precision: type } : { type: type as NonNullable<LoadOptions['type']> };
  const profiled = await open({ profile: true });
  const gflop = (await flopOf(profiled)) / 1e9;
  await profiled.dispose();
  const models = await Promise.all(types.map((type) => open(optionsOf(type))));
  const steps = await measureSteps(models, size, rounds);
  console.log(
    `${layers} layers and 2 refiners, ${size}x${size}, ${gflop.toFixed(0)} GFLOP a step, fastest of ${rounds}`,
  );
  console.log(
    '\n| weights | products in | a step, s | processor, s | GFLOP/s of a thread |\n| --- | --- | --- | --- | --- |',
  );
  for (const [i, { wall, processor }] of steps.entries()) {
    const precision = models[i]?.info.precision;
    const rate = (gflop / processor).toFixed(0);
    console.log(`| ${types[i]} | ${precision} | ${wall.toFixed(2)} | ${processor.toFixed(2)} | ${rate} |`);
  }
  for (const model of models) await model.dispose();
} finally {
  rmSync(path, { force: true });
}
