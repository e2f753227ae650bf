// Whole images against those of diffusers' StableDiffusionPipeline: the same weights, prompts and noise. The goldens come from
// test/reference/networks.py.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadModel } from '../../lib/index.ts';
import { psnr } from '../support/compare.ts';
import { golden } from '../support/golden.ts';
import { tinyModel } from '../support/tiny-model.ts';

interface Image {
  prompt: string;
  negativePrompt: string;
  width: number;
  height: number;
  steps: number;
  cfgScale: number;
  seed: number;
  batchSize: number;
  clipSkip: number;
  prediction: 'epsilon' | 'v';
  /** Base64 of `[height, width, 3]` bytes each. */
  images: string[];
}

const path = tinyModel({ vocabulary: 49408 }).path;

describe('txt2img generates the images of diffusers', () => {
  for (const { images: expected, prediction, ...options } of golden<Image[]>('images.json')) {
    const { prompt, width, height, steps, batchSize } = options;
    it(`"${prompt}", ${batchSize} of ${width}x${height} in ${steps} steps, predicting ${prediction}`, async () => {
      await using model = await loadModel(path, { device: 'cpu', threads: 1, precision: 'f32', prediction });
      const { images } = await model.txt2img({ ...options, sampler: 'euler', scheduler: 'discrete', rng: 'cpu' });
      assert.equal(images.length, batchSize);
      images.forEach((image, i) => {
        assert.deepEqual([image.width, image.height], [width, height]);
        const decibels = psnr(image.data, Buffer.from(expected[i] as string, 'base64'), 255);
        assert.ok(decibels >= 50, `at least 50 dB were expected of image ${i}, it has ${decibels.toFixed(1)}`);
      });
    });
  }
});
