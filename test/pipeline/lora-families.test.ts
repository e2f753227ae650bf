// LoRAs of Stable Diffusion 2, SDXL and SSD-1B, in the names of kohya-ss and of PEFT, against what diffusers makes of them. The
// goldens come from test/reference/family_loras.py.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { embedNumbers } from '../../lib/family/sinusoids.ts';
import { never } from '../support/addon.ts';
import { assertClose, largestError, psnr } from '../support/compare.ts';
import { q8Mix, writeGguf } from '../support/gguf.ts';
import { golden, goldenTensors } from '../support/golden.ts';
import { openModel, type TestModel } from '../support/networks.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import {
  sd2Architecture,
  ssdArchitecture,
  type TinyModelArchitecture,
  xlArchitecture,
} from '../support/tiny-architectures.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

const FAMILIES: readonly [name: string, architecture: TinyModelArchitecture, numbers?: readonly number[]][] = [
  ['sd2', sd2Architecture],
  ['xl', xlArchitecture, [1024, 768, 8, 16, 512, 640]],
  ['ssd', ssdArchitecture, [512, 512, 0, 0, 512, 512]],
];
const quantized = (family: string): string => join(temporaryFolder(), `${family}.gguf`);

/** As in family_loras.py. */
const WEIGHT = 0.7;

const goldens = goldenTensors('family_loras.safetensors');
/** For each family, the names of PEFT by those of kohya-ss. */
const peftNames = golden<Record<string, Record<string, string>>>('family_loras.json');

const values = (name: string): Float32Array => goldens.get(name)?.values as Float32Array;

const PARTS: Record<string, string> = { lora_up: 'lora_B', lora_down: 'lora_A' };

/** Writes the LoRA of a family. PEFT has no alpha beside its factors; that of the golden is 1, as is the rank. */
function writeLora(family: string, spelling: 'kohya' | 'peft'): { path: string; tensors: number } {
  const tensors: TestTensor[] = [];
  for (const [key, { shape, values }] of goldens) {
    if (!key.startsWith(`${family}/`)) continue;
    const [, layer = '', part = ''] = /^[^/]*\/([^.]*)\.(\w*)/.exec(key) ?? [];
    const peft = `${peftNames[family]?.[layer]}.${PARTS[part]}.weight`;
    if (spelling === 'peft' && part === 'alpha') continue;
    const name = spelling === 'peft' ? peft : key.slice(family.length + 1);
    tensors.push({ name, dtype: 'f32', shape, values: values as Float32Array });
  }
  const path = join(temporaryFolder(), `lora-${family}-${spelling}.safetensors`);
  writeSafetensors(path, tensors);
  return { path, tensors: tensors.length };
}

/** Each answer of the networks to the golden inputs beside what diffusers' say. */
async function answers(
  model: TestModel,
  family: string,
  numbers: readonly number[] | undefined,
): Promise<[received: Float32Array, expected: Float32Array][]> {
  const pairs: [Float32Array, Float32Array][] = [];
  const tokens = goldens.get(`${family}.tokens`)?.values as Int32Array;
  for (const [i, { width }] of model.info.textEncoders.entries()) {
    const { hidden } = await model.encodeText(i, tokens, 1, never);
    const seventh = hidden.filter((_, at) => Math.floor(at / width) % 7 === 0);
    pairs.push([seventh, values(`${family}.hidden${i}`)]);
  }
  const condition = {
    context: values(`${family}.context`),
    contextTokens: 77,
    ...(numbers && { vector: Float32Array.of(...values(`${family}.vector`), ...embedNumbers(numbers)) }),
  };
  const latent = values(`${family}.latent`);
  const prediction = await model.predict(latent, [1, 4, 8, 6], Float32Array.of(601.5), condition, never);
  pairs.push([prediction, values(`${family}.prediction`)]);
  return pairs;
}

const open = (path: string, threads = 1): Promise<TestModel> =>
  openModel({ model: path }, { device: 'cpu', threads, precision: 'f32', profile: true, cancellation: never });

for (const [family, architecture, numbers] of FAMILIES) {
  const { path } = tinyModel({
    architecture,
    edit: (tensors) => {
      writeGguf(quantized(family), tensors, q8Mix);
      return tensors;
    },
  });

  describe(`LoRAs for ${family} change all its networks as in diffusers`, () => {
    for (const [what, spelling, file] of [
      ['in the names of kohya-ss', 'kohya', path],
      ['in the names of PEFT', 'peft', path],
      ['on 8-bit weights', 'kohya', quantized(family)],
    ] as const) {
      it(what, async () => {
        const model = await open(file);
        try {
          const lora = writeLora(family, spelling);
          const [report] = await model.setLoras([{ path: lora.path, weight: WEIGHT }], never);
          assert.deepEqual([report?.applied, report?.tensors], [lora.tensors, lora.tensors]);
          for (const [received, expected] of await answers(model, family, numbers)) {
            if (file === path) {
              assertClose(received, expected, 5e-5);
              continue;
            }
            const peak = 2 * expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
            assert.ok(psnr(received, expected, peak) >= 45, `${psnr(received, expected, peak)} dB`);
          }
        } finally {
          await model.dispose();
        }
      });
    }
  });
}

describe('LoRAs of convolutions that go the way of Winograd', () => {
  const layer = 'input_blocks.1.0.out_layers.3';
  const latent = Float32Array.from({ length: 4 * 32 * 32 }, (_, i) => Math.sin(i));
  const condition = { context: new Float32Array(77 * 128).fill(0.1), contextTokens: 77 };
  const predict = (model: TestModel): Promise<Float32Array> =>
    model.predict(latent, [1, 4, 32, 32], Float32Array.of(500), condition, never);

  it('change what was packed before, and leave no trace when they are gone', async () => {
    const up = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i * 3) / 4);
    const down = Float32Array.from({ length: 64 * 9 }, (_, i) => Math.cos(i * 5) / 4);
    const path = join(temporaryFolder(), 'lora-winograd.safetensors');
    const name = `lora_unet_${layer.replaceAll('.', '_')}`;
    writeSafetensors(path, [
      { name: `${name}.lora_up.weight`, dtype: 'f32', shape: [64, 1, 1, 1], values: up },
      { name: `${name}.lora_down.weight`, dtype: 'f32', shape: [1, 64, 3, 3], values: down },
    ]);
    const merge = (tensor: TestTensor): TestTensor =>
      tensor.name === `model.diffusion_model.${layer}.weight`
        ? {
            ...tensor,
            values: tensor.values.map(
              (value, i) => value + (up[Math.floor(i / down.length)] as number) * (down[i % down.length] as number),
            ),
          }
        : tensor;
    const merged = await open(tinyModel({ architecture: sd2Architecture, edit: (all) => all.map(merge) }).path, 2);
    const model = await open(tinyModel({ architecture: sd2Architecture }).path, 2);
    try {
      const before = await predict(model);
      await model.setLoras([{ path, weight: 1 }], never);
      const after = await predict(model);
      assertClose(after, await predict(merged), 1e-5);
      assert.ok(largestError(after, before) > 0.05, 'it changes something');
      await model.setLoras([], never);
      assert.equal(largestError(await predict(model), before), 0);
      const operations = (await model.profile()).map(({ operation }) => operation);
      // Where ggml computes, no precision is given.
      if (model.info.precision) assert.ok(operations.includes('convolution, Winograd'));
    } finally {
      await Promise.all([model.dispose(), merged.dispose()]);
    }
  });
});
