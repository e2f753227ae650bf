// Reproducing images from their files: the options of the metadata generate the same image with the same parameters.

import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  EMBEDDED_MODEL,
  loadModel,
  type Model,
  readMetadata,
  type Sampler,
  type Txt2ImgOptions,
} from '../../lib/index.ts';

let folder: string;
let model: Model;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-again-'));
  // Every sign that its name in the metadata could stumble over.
  const path = join(folder, '12" dolls, "red": \\ ünd 🍎.gguf');
  await copyFile(EMBEDDED_MODEL, path);
  model = await loadModel(path);
});
after(async () => {
  await model.dispose();
  await rm(folder, { recursive: true });
});

const small = { prompt: 'a red apple', width: 16, height: 16, steps: 2, seed: 7 } as const;

const variants: Record<string, Partial<Txt2ImgOptions>> = {
  nothing: {},
  'a prompt of several lines': { prompt: 'a red apple\n\nin the sun\n', negativePrompt: 'blurry\nNegative prompt: x' },
  'a prompt like metadata': { prompt: 'a\nNegative prompt: b\nSteps: 1, Sampler: x, Seed: 2', negativePrompt: ' c ' },
  'a prompt of carriage returns and tabs': { prompt: '\ta red\r\napple\r', negativePrompt: '\n' },
  'text of other scripts': { prompt: 'りんご 🍎', negativePrompt: 'Ã¤ é' },
  'Latin-1 that could be UTF-8': { prompt: 'Ã¤pple' },
  'another sampler and schedule': { sampler: 'dpm++2m', scheduler: 'karras', rng: 'cpu' },
  'names of the web UI': { sampler: 'DPM++ 2M SDE', scheduler: 'Automatic' },
  'a name of both': { sampler: 'DPM++ 2M Karras' },
  'levels of its own': { scheduler: [14.6, 2.5, 0.1, 0], steps: 3 },
  'a seed of 64 bits': { seed: 18446744073709551615n },
  'the last seed that is a number': { seed: 2 ** 53 - 1 },
  'the second to last layer': { clipSkip: 2 },
  guidance: { cfgScale: 0.1 + 0.2, cfgRescale: 0.7, pagScale: 3, guidanceInterval: [0.25, 1] },
  'noise that is put back': { eta: 0.3 },
  'no seam': { tileable: true },
  'no seam side by side': { tileable: 'x' },
  'no seam one above the other': { tileable: 'y' },
  'a second pass': { hires: { scale: 2, steps: 1, denoisingStrength: 0.5 } },
  'a second pass with names': { hires: { width: 24, height: 32, upscaler: 'latent-nearest', steps: 2 } },
  'a second pass over the image': { hires: { scale: 1.5, upscaler: 'lanczos' } },
};

for (const [name, change] of Object.entries(variants)) {
  test(`an image is reproduced: ${name}`, async () => {
    const { images } = await model.txt2img({ ...small, ...change });
    const [image] = images;
    const metadata = await readMetadata(await (image as (typeof images)[0]).png());
    assert.deepEqual(metadata.warnings, []);
    assert.equal(metadata.model, model.info.name);
    const again = await model.txt2img(metadata.options);
    assert.deepEqual(again.images[0]?.parameters, image?.parameters);
    assert.deepEqual(again.images[0]?.data, image?.data);
  });
}

test('each image of a batch is reproduced, with consecutive seeds beyond 2^53', async () => {
  const { images, seed } = await model.txt2img({ ...small, seed: 2 ** 53 - 1, batchSize: 2 });
  assert.equal(seed, 2 ** 53 - 1);
  for (const [i, expected] of [2 ** 53 - 1, 2n ** 53n].entries()) {
    const { options } = await readMetadata(await (images[i] as (typeof images)[0]).png());
    assert.equal(options.seed, expected);
    assert.deepEqual((await model.txt2img(options)).images[0]?.data, images[i]?.data);
  }
});

test('what a file cannot contain is reported', async () => {
  const mine: Sampler = async (denoise, x, sigmas) => denoise(x, sigmas[0] as number);
  const { images } = await model.txt2img({ ...small, sampler: mine });
  const { options, warnings } = await readMetadata(await (images[0] as (typeof images)[0]).png());
  assert.equal(options.sampler, undefined);
  assert.match(warnings.join(), /sampler 'mine', which is unknown here/);
  const image = { width: 16, height: 16, channels: 3, data: new Uint8Array(768) } as const;
  const { images: generated } = await model.img2img({ prompt: 'x', image, steps: 2, strength: 0.5, seed: 1 });
  const metadata = await readMetadata(await (generated[0] as (typeof generated)[0]).png());
  assert.equal(metadata.strength, 0.5);
  assert.match(metadata.warnings.join(), /from another image/);
  assert.ok(!('strength' in metadata.options));
});
