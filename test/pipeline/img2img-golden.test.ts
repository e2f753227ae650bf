// Image to image and inpainting against diffusers: the same weights, images, prompts and noise. The goldens come from
// test/reference/img2img.py.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { crop } from '../../lib/image/pixels.ts';
import { lanczos3 } from '../../lib/image/resample.ts';
import { place, type ResizeMode, resize } from '../../lib/image/resize.ts';
import { type GenerationResult, type GenerationStep, loadModel, type Model, type Run } from '../../lib/index.ts';
import { assertClose, psnr } from '../support/compare.ts';
import { bytes, floats, type GoldenImage, type GoldenRun, golden, pixels } from '../support/golden.ts';
import { tinyModel } from '../support/tiny-model.ts';

interface Options {
  prompt: string;
  negativePrompt: string;
  steps: number;
  cfgScale: number;
  seed: number;
  batchSize: number;
  strength: number;
  sampler: 'euler' | 'euler_a';
  prediction: 'epsilon' | 'v';
}

type Case = GoldenRun<Options>;

const goldens = golden<{
  image: GoldenImage;
  mask: GoldenImage;
  largeImage: GoldenImage;
  smallMask: GoldenImage;
  img2img: Case[];
  inpaint: Case[];
  inpaintRegion: Case[];
  resized: { mode: ResizeMode; width: number; height: number; image: string }[];
}>('img2img.json');

const models = new Map<string, Model>();
before(async () => {
  const path = tinyModel({ vocabulary: 49408 }).path;
  for (const prediction of ['epsilon', 'v'] as const) {
    models.set(prediction, await loadModel(path, { device: 'cpu', threads: 1, precision: 'f32', prediction }));
  }
});
after(() => Promise.all([...models.values()].map((model) => model.dispose())));

type Generate = (
  model: Model,
  options: Omit<Options, 'prediction'> & { scheduler: 'discrete'; rng: 'cpu'; convention: 'diffusers' },
) => Run<GenerationStep, GenerationResult>;

/** @param least PSNR of the images in decibels. */
function compare(cases: readonly Case[], least: number, latentTolerance: number, generate: Generate): void {
  for (const { options, latent, images: expected } of cases) {
    const { prediction, ...rest } = options;
    it(JSON.stringify(options), async () => {
      const run = generate(models.get(prediction) as Model, {
        ...rest,
        scheduler: 'discrete',
        rng: 'cpu',
        convention: 'diffusers',
      });
      let last: Float32Array | undefined;
      for await (const step of run) last = step.latent;
      assert.equal(last === undefined, options.strength === 0, 'steps are taken');
      if (last) assertClose(last, floats(latent), latentTolerance);
      const { images } = await run;
      assert.equal(images.length, expected.length);
      images.forEach(({ data }, i) => {
        const decibels = psnr(data, bytes(expected[i] as string), 255);
        assert.ok(decibels >= least, `at least ${least} dB were expected of image ${i}, it has ${decibels.toFixed(1)}`);
      });
    });
  }
}

describe('img2img generates the images of diffusers', () => {
  const image = pixels(goldens.image);
  compare(goldens.img2img, 75, 1e-4, (model, options) => model.img2img({ ...options, image }));
});

describe('inpaint generates the images of diffusers inside the mask', () => {
  const [image, mask] = [pixels(goldens.image), pixels(goldens.mask)];
  // diffusers leaves the rest as the VAE renders it, so it is put back here too before the images are compared.

  const putBack = (generated: string) =>
    Buffer.from(
      bytes(generated).map((value, i) => (mask.data[Math.floor(i / 3)] ? value : (image.data[i] as number))),
    ).toString('base64');
  const withRest = goldens.inpaint.map((item) => ({ ...item, images: item.images.map(putBack) }));
  compare(withRest, 75, 1e-4, (model, options) => model.inpaint({ ...options, image, mask }));
});

describe('inpaint generates the masked region at full resolution like diffusers', () => {
  const [image, mask] = [pixels(goldens.largeImage), pixels(goldens.smallMask)];
  // Pillow rounds to whole levels between its two passes.
  compare(goldens.inpaintRegion, 60, 1e-3, (model, options) => model.inpaint({ ...options, image, mask }));
});

describe('images are resized as by diffusers', () => {
  for (const [i, { mode, width, height, image: expected }] of goldens.resized.entries()) {
    const source = pixels(i < 3 ? goldens.largeImage : goldens.image);
    it(`${source.width}x${source.height} to ${width}x${height} by ${mode}, within a level`, async () => {
      const placement = place(source, { width, height }, mode);
      const resized = await resize({ ...source, channels: 3 }, placement, lanczos3);
      assert.equal(resized.data.length, 3 * width * height);
      // What diffusers puts around an image that fits is not quite its border.
      const inner = async (data: Uint8Array) => (await crop({ width, height, channels: 3, data }, placement.to)).data;
      const [ours, theirs] = [await inner(resized.data), await inner(bytes(expected))];
      assert.ok(ours.every((value, j) => Math.abs(value - (theirs[j] as number)) <= 1));
    });
  }
});
