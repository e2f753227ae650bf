// npm `a1111-webui-api` and `stable-diffusion-api`, which have the same calls, and `node-sd-webui`.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const sharp = require('sharp');
const [baseUrl, apple] = [process.argv[2], readFileSync(process.argv[3])];
const request = { prompt: 'a red apple', width: 64, height: 64, steps: 3, seed: 7 };
const sideOf = async (image) => (await image.metadata()).width;

for (const name of ['a1111-webui-api', 'stable-diffusion-api']) {
  const { StableDiffusionApi } = require(name);
  const api = new StableDiffusionApi({ baseUrl }).setAuth('name', 'word');
  const { image, images, info } = await api.txt2img({ ...request, batch_size: 2 });
  assert.deepEqual([images.length, await sideOf(image)], [2, 64]);
  assert.match(JSON.stringify(info), /emoji-64/);
  const large = await api.txt2img({ ...request, enable_hr: true, hr_scale: 2, hr_second_pass_steps: 2 });
  assert.equal(await sideOf(large.image), 128);
  const again = await api.img2img({ ...request, init_images: [sharp(apple)], denoising_strength: 0.5 });
  assert.equal(await sideOf(again.image), 64);
  const masked = { init_images: [sharp(apple)], mask_image: sharp(apple), inpaint_full_res: false, inpainting_fill: 1 };
  assert.equal(await sideOf((await api.img2img({ ...request, ...masked })).image), 64);
  const extra = await api.extraSingle({ image: sharp(apple), upscaler_1: 'Lanczos', upscaling_resize: 2 });
  assert.equal(await sideOf(extra.image), 128);
  assert.equal(
    (await api.getSamplers()).some((sampler) => sampler.name === 'Euler a'),
    true,
  );
  assert.equal((await api.getSdModels())[0].title, 'emoji-64.gguf');
  const options = await api.getOptions();
  assert.equal(options.sd_model_checkpoint, 'emoji-64.gguf');
  await api.setOptions(options);
  await api.setModel('emoji-64');
  const progress = await api.getProgress();
  assert.deepEqual([progress.progress, progress.state.job_count], [0, 0]);
  await api.refreshCheckpoints();
  for (const list of [
    'getUpscalers',
    'getSdVae',
    'getHypernetworks',
    'getFaceRestorers',
    'getPromptStyles',
    'getScripts',
  ]) {
    if (api[list]) assert.ok(await api[list](), list);
  }
  assert.deepEqual(await api.ControlNet.getModels(), []);
  assert.ok((await api.ControlNet.getModules()).includes('canny'));
}

const { default: sdwebui } = await import('node-sd-webui');
// It has no place for a name and password but its address, which fetch refuses there; a proxy adds them.
const client = sdwebui({ apiUrl: process.argv[4] });
const { images } = await client.txt2img({
  prompt: 'a red apple',
  samplingMethod: 'Euler a',
  width: 64,
  height: 64,
  steps: 3,
});
assert.equal(images.length, 1);
const again = await client.img2img({
  prompt: 'a red apple',
  imageData: [apple.toString('base64')],
  width: 64,
  height: 64,
  steps: 3,
});
assert.equal(again.images.length, 1);
const { prompt, steps } = await client.pngInfo({ imageData: images[0] });
assert.deepEqual([prompt, steps], ['a red apple', 3]);
