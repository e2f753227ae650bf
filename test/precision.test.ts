// Images in bf16 against those in f32, by the bundled model.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listDevices, loadModel } from '../lib/index.ts';
import { psnr } from './support/compare.ts';

const multipliesBf16 = listDevices().some(({ features }) => features.some((name) => name.startsWith('kernels bf16=')));

/** Of the bytes of two images, in dB: docs/performance.md gives the figures. */
const LEAST = 35;

const image = { width: 64, height: 64, steps: 12, cfgScale: 3, sampler: 'euler' } as const;

async function generate(precision: 'f32' | 'bf16', prompts: readonly string[]): Promise<Uint8Array[]> {
  await using model = await loadModel(undefined, { device: 'cpu', precision });
  assert.equal(model.info.precision, precision);
  const generated: Uint8Array[] = [];
  for (const [seed, prompt] of prompts.entries()) {
    const { images } = await model.txt2img({ ...image, prompt, seed });
    generated.push((images[0] as { data: Uint8Array }).data);
  }
  return generated;
}

test('bf16 generates the images of f32', {
  skip: !multipliesBf16 && 'this processor has no bf16 products',
}, async () => {
  const prompts = ['a red apple', 'a slice of pizza', 'a cup of coffee', 'grapes'];
  const [exact, rounded] = [await generate('f32', prompts), await generate('bf16', prompts)];
  for (const [i, prompt] of prompts.entries()) {
    const decibels = psnr(rounded[i] as Uint8Array, exact[i] as Uint8Array, 255);
    assert.ok(decibels >= LEAST, `${prompt}: at least ${LEAST} dB were expected, they are ${decibels.toFixed(1)}`);
    assert.ok(Number.isFinite(decibels), `${prompt}: equal in every byte, so one precision did not take effect`);
  }
});
