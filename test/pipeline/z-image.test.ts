// Images of a small Z-Image against those of diffusers' pipeline: the same weights, prompts and noise. The goldens come from
// test/reference/z_image.py. Then what the family has by default, and what it refuses.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import { type ArgumentError, convert, type LoadOptions, loadModel, type Txt2ImgOptions } from '../../lib/index.ts';
import { FlowLevels } from '../../lib/noise-model/index.ts';
import { SCHEDULERS } from '../../lib/schedule/index.ts';
import { BpeTokenizer } from '../../lib/text/bpe-tokenizer.ts';
import { qwenVocabulary } from '../../lib/text/qwen-vocabulary.ts';
import { psnr } from '../support/compare.ts';
import { golden } from '../support/golden.ts';
import { tinyAutoencoder, writeTinyAutoencoder } from '../support/tiny-autoencoder.ts';
import { temporaryFolder } from '../support/tiny-model.ts';
import { tinyZImage, zImageFolder } from '../support/tiny-z-image.ts';

const { tokens, sigmas, pictures } = golden<{
  tokens: { prompt: string; tokens: number[] }[];
  sigmas: { steps: number; shift: number; sigmas: number[] }[];
  pictures: { options: Txt2ImgOptions; images: string[] }[];
}>('z_image.json');

const files = tinyZImage();
const SOURCE = { model: files.denoiser, llm: files.language, vae: files.vae };

const load = (options: LoadOptions = {}) =>
  loadModel(SOURCE, { device: 'cpu', threads: 1, precision: 'f32', ...options });

describe('txt2img generates the images of diffusers', () => {
  for (const { options, images } of pictures) {
    const { width, height, cfgScale, prompt } = options;
    it(`${width}x${height}, a scale of ${cfgScale}, '${prompt.slice(0, 20)}'`, async () => {
      await using model = await load();
      const generated = await model.txt2img({ ...options, rng: 'cpu' });
      assert.equal(generated.images.length, images.length);
      for (const [i, image] of generated.images.entries()) {
        const decibels = psnr(image.data, Buffer.from(images[i] as string, 'base64'), 255);
        assert.ok(decibels >= 50, `at least 50 dB were expected, it has ${decibels.toFixed(1)}`);
      }
    });
  }
});

test('noise levels are those of diffusers', () => {
  for (const { steps, shift, sigmas: expected } of sigmas) {
    const levels = SCHEDULERS.sgm_uniform(steps, new FlowLevels({ shift }));
    assert.equal(levels.length, expected.length);
    for (const [i, sigma] of levels.entries())
      assert.ok(Math.abs(sigma - (expected[i] as number)) < 1e-6, `${i} of ${steps}`);
  }
});

test('prompts are in a chat template, and none can end its turn', async () => {
  const tokenizer = new BpeTokenizer(await qwenVocabulary());
  const control = (name: string) => tokenizer.control(name);
  for (const { prompt, tokens: expected } of tokens) {
    const own = [
      ...[control('<|im_start|>'), ...(await tokenizer.encode(`user\n${prompt}`)), control('<|im_end|>')],
      ...[...(await tokenizer.encode('\n')), control('<|im_start|>'), ...(await tokenizer.encode('assistant\n'))],
    ];
    assert.deepEqual(own.slice(0, 512), expected);
    if (expected.length < 512) assert.equal(expected.filter((token) => token === control('<|im_end|>')).length, 1);
  }
});

const SMALL = { prompt: 'a red apple', width: 32, height: 48, steps: 1, seed: 1 } as const;

test('steps, guidance scale, sampler, schedule, shift and size are those of the family', async () => {
  await using model = await load();
  const { info, noiseModel } = model;
  assert.deepEqual([info.defaultWidth, info.defaultHeight, info.defaultScheduler], [1024, 1024, 'sgm_uniform']);
  assert.equal((noiseModel.levels as FlowLevels).shift, 3);
  const { images } = await model.txt2img({ prompt: 'a red apple', width: 32, height: 48, seed: 1 });
  const own = images[0]?.parameters;
  assert.deepEqual([own?.steps, own?.cfgScale, own?.sampler, own?.scheduler], [8, 1, 'euler', 'sgm_uniform']);
});

test('the shift is that of a folder, or the one that is given', async () => {
  const { mkdirSync, writeFileSync } = await import('node:fs');
  const folder = zImageFolder();
  mkdirSync(`${folder}/scheduler`);
  const shiftOf = async (scheduler: unknown, options: LoadOptions = {}) => {
    writeFileSync(`${folder}/scheduler/scheduler_config.json`, JSON.stringify(scheduler));
    await using model = await loadModel(folder, { device: 'cpu', threads: 1, ...options });
    return (model.noiseModel.levels as FlowLevels).shift;
  };
  assert.equal(await shiftOf({ shift: 6 }), 6);
  assert.equal(await shiftOf({ shift: -1 }), 3);
  assert.equal(await shiftOf({ shift: 6 }, { flowShift: 2 }), 2);
});

test('a prompt that was encoded before is not encoded again', async () => {
  await using model = await load({ profile: true });
  const calls = async () => {
    const entries = await model.profile();
    return entries.filter(({ network }) => network === 'language model').reduce((sum, entry) => sum + entry.calls, 0);
  };
  const first = await model.txt2img(SMALL);
  const before = await calls();
  assert.ok(before > 0);
  const second = await model.txt2img(SMALL);
  assert.equal(await calls(), before);
  assert.deepEqual(second.images[0]?.data, first.images[0]?.data);
  await model.txt2img({ ...SMALL, prompt: 'a green pear' });
  assert.equal(await calls(), 2 * before);
});

test('other samplers, tasks and stages work with it', async () => {
  await using model = await load();
  const { images } = await model.txt2img({ ...SMALL, steps: 2, sampler: 'dpm++2m', preview: 'proj', batchSize: 2 });
  assert.notDeepEqual(images[0]?.data, images[1]?.data);
  const image = images[0] as NonNullable<(typeof images)[0]>;
  const changed = await model.img2img({ ...SMALL, image, steps: 4, strength: 0.5 });
  assert.notDeepEqual(changed.images[0]?.data, image.data);
  const large = await model.txt2img({ ...SMALL, hires: { scale: 2, steps: 2 } });
  assert.deepEqual([large.images[0]?.width, large.images[0]?.height], [64, 96]);
  const [plain, edited] = await Promise.all([
    model.txt2img({ ...SMALL, steps: 3 }),
    model.txt2img({ ...SMALL, prompt: '[a red apple:a much longer prompt of a pear:1]', steps: 3 }),
  ]);
  assert.notDeepEqual(edited.images[0]?.data, plain.images[0]?.data);
});

test('options of other families are refused, with what this one has', async () => {
  await using model = await load();
  const bad: readonly [Partial<Txt2ImgOptions>, RegExp][] = [
    [{ clipSkip: 2 }, /language model.*clipSkip/s],
    [{ pagScale: 3 }, /transformer.*pagScale/s],
    [{ tileable: true }, /transformer.*tileable/s],
    [{ embeddingDirectory: '.' }, /language model.*embeddingDirectory/s],
    [{ originalSize: { width: 64, height: 64 } }, /originalSize/],
    [{ width: 40 }, /multiple of 16.*width/s],
  ];
  for (const [options, message] of bad) {
    await assert.rejects(model.txt2img({ ...SMALL, ...options }), (error: ArgumentError) => {
      assert.equal(error.code, 'ERR_INVALID_ARG_VALUE');
      assert.match(error.message, message);
      return true;
    });
  }
  await assert.rejects(load({ prediction: 'v' }), { code: 'ERR_INVALID_ARG_VALUE' });
  await assert.rejects(loadModel(undefined, { flowShift: 3 }), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /flow matching/,
  });
});

test('its memory is estimated and planned', async () => {
  await using model = await load({ memory: '1GB' });
  const { stages, peaks } = await model.estimate({ width: 256, height: 128 });
  assert.deepEqual(
    stages.map(({ network }) => network),
    ['language_model', 'transformer', 'vae_decoder'],
  );
  assert.ok(peaks.process.bytes > 0);
  const { images } = await model.txt2img(SMALL);
  assert.equal(images.length, 1);
});

test('a tiny autoencoder of 16 channels decodes previews, or images in place of the VAE', async () => {
  const tiny = writeTinyAutoencoder(tinyAutoencoder({ latentChannels: 16 }));
  await using model = await loadModel({ ...SOURCE, taesd: tiny }, { device: 'cpu', threads: 1 });
  for await (const { preview } of model.txt2img({ ...SMALL, preview: 'tae' })) {
    assert.deepEqual([preview?.width, preview?.height], [32, 48]);
  }
  await using small = await loadModel({ ...SOURCE, vae: tiny }, { device: 'cpu', threads: 1 });
  assert.equal((await small.txt2img(SMALL)).images[0]?.height, 48);
  const other = writeTinyAutoencoder(tinyAutoencoder());
  await assert.rejects(loadModel({ ...SOURCE, taesd: other }), { code: 'ERR_MODEL_MISMATCH', message: /TAEF1/ });
});

test('the VAE decodes the same in tiles', async () => {
  await using model = await load();
  const whole = await model.txt2img({ ...SMALL, width: 128, height: 96, vaeTiling: false });
  const tiled = await model.txt2img({ ...SMALL, width: 128, height: 96, vaeTiling: true, vaeTileSize: 64 });
  const [expected, data] = [whole.images[0]?.data, tiled.images[0]?.data];
  assert.ok(psnr(data as Uint8Array, expected as Uint8Array, 255) >= 50);
});

test('parts that are converted into one file make the same image', async () => {
  const output = join(temporaryFolder(), 'z-image-joint.gguf');
  await convert(SOURCE, output, { type: 'f16' });
  const generate = async (source: Parameters<typeof loadModel>[0]) => {
    await using model = await loadModel(source, { device: 'cpu', threads: 1, precision: 'f32', type: 'f16' });
    return (await model.txt2img(SMALL)).images[0]?.data as Uint8Array;
  };
  assert.deepEqual(await generate(output), await generate(SOURCE));
});
