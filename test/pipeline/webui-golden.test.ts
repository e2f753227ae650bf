// Image to image and inpainting against AUTOMATIC1111's rules, with k-diffusion's samplers over diffusers' networks. The goldens come from
// test/reference/webui.py.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadModel, type Model, type SamplerName } from '../../lib/index.ts';
import { assertClose, psnr } from '../support/compare.ts';
import { bytes, floats, type GoldenImage, type GoldenRun, golden, pixels } from '../support/golden.ts';
import { inpaintArchitecture } from '../support/tiny-architectures.ts';
import { tinyModel } from '../support/tiny-model.ts';

interface Options {
  prompt: string;
  negativePrompt: string;
  steps: number;
  cfgScale: number;
  seed: number;
  batchSize: number;
  strength: number;
  sampler: SamplerName;
  prediction: 'epsilon' | 'v';
}

const goldens = golden<{
  image: GoldenImage;
  mask: GoldenImage;
  img2img: GoldenRun<Options>[];
  inpaint: GoldenRun<Options>[];
  beside: GoldenRun<Options>[];
}>('webui.json');
const [image, mask] = [pixels(goldens.image), pixels(goldens.mask)];
const isMasked = (i: number) => mask.data[Math.floor(i / 3)] === 255;

type BaseOptions = Omit<Options, 'prediction'> & { scheduler: 'discrete'; rng: 'cpu' };

/** @param shown the bytes of an image that are compared. */
function compare(
  path: string,
  cases: readonly GoldenRun<Options>[],
  generate: (model: Model, options: BaseOptions) => ReturnType<Model['img2img']>,
  shown: (index: number) => boolean,
): void {
  for (const { options, latent, images: expected } of cases) {
    const { prediction, ...rest } = options;
    it(JSON.stringify(options), async () => {
      await using model = await loadModel(path, { device: 'cpu', threads: 1, precision: 'f32', prediction });
      const run = generate(model, { ...rest, scheduler: 'discrete', rng: 'cpu' });
      let last = new Float32Array();
      for await (const step of run) last = Float32Array.from(step.latent);
      assertClose(last, floats(latent), 1e-3);
      const { images } = await run;
      assert.equal(images.length, expected.length);
      images.forEach(({ data }, i) => {
        const theirs = bytes(expected[i] as string).filter((_, j) => shown(j));
        const ours = data.filter((_, j) => shown(j));
        const decibels = psnr(ours, theirs, 255);
        assert.ok(decibels >= 60, `at least 60 dB were expected of image ${i}, it has ${decibels.toFixed(1)}`);
      });
    });
  }
}

const ordinary = tinyModel({ vocabulary: 49408 }).path;
const forInpainting = tinyModel({ architecture: inpaintArchitecture, vocabulary: 49408 }).path;

describe('img2img generates the images of the web UI', () => {
  compare(
    ordinary,
    goldens.img2img,
    (model, options) => model.img2img({ ...options, image }),
    () => true,
  );
});

describe('inpaint generates the images of the web UI inside the mask', () => {
  compare(ordinary, goldens.inpaint, (model, options) => model.inpaint({ ...options, image, mask }), isMasked);
});

describe('inpaint generates those of stable-diffusion.cpp with an inpainting model', () => {
  compare(forInpainting, goldens.beside, (model, options) => model.inpaint({ ...options, image, mask }), isMasked);
});
