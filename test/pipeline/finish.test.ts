// Runs that are finished early: the image so far, in every task and at every moment.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import {
  type GenerationResult,
  type GenerationStep,
  loadModel,
  type Model,
  type RawImage,
  readMetadata,
  SAMPLERS,
  type Sampler,
} from '../../lib/index.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

const base = { prompt: 'x', width: 32, height: 24, seed: 4, cfgScale: 2, sampler: 'euler' } as const;

let model: Model;
before(async () => {
  model = await loadModel(tinyModel({ vocabulary: 49408 }).path, { threads: 1, precision: 'f32' });
});
after(() => model.dispose());

const pixels = ({ images }: GenerationResult) => Buffer.from(images[0]?.data ?? []);

/** Finishes a run once `index` is finished; with the preview of that step, decoded by the VAE. */
async function finishAt(run: ReturnType<Model['txt2img']>, index: number) {
  const steps: GenerationStep[] = [];
  for await (const step of run) {
    steps.push(step);
    if (step.index === index) run.finish();
  }
  return { steps, result: await run };
}

test('a run that is finished early gives what its last step takes the image to be', async () => {
  const { steps, result } = await finishAt(model.txt2img({ ...base, steps: 40, preview: 'vae' }), 2);
  assert.ok(steps.length < 40, `${steps.length} steps`);
  assert.equal(result.finishedAfter, steps.length);
  assert.equal(result.timings.steps.length, steps.length);
  assert.deepEqual(pixels(result), Buffer.from(steps.at(-1)?.preview?.data ?? []));
});

test('an image that was finished early says so, and is not taken for one of all steps', async () => {
  const run = model.txt2img({ ...base, steps: 500 });
  run.finish();
  const path = join(temporaryFolder(), 'early.png');
  const result = await run;
  await result.images[0]?.save(path);
  const { fields, steps, warnings } = await readMetadata(path);
  assert.deepEqual([result.finishedAfter, fields['Finished after'], steps], [1, '1', 500]);
  assert.match(warnings.join(), /finished early/);
  assert.deepEqual(
    (await readMetadata((await (await model.txt2img({ ...base, steps: 1 })).images[0]?.png()) as Buffer)).warnings,
    [],
  );
});

test('a whole run says nothing of an early end, and finishing it afterwards changes nothing', async () => {
  const run = model.txt2img({ ...base, steps: 3 });
  const result = await run;
  run.finish();
  assert.equal(result.finishedAfter, undefined);
  assert.equal(await run, result);
  const { result: last } = await finishAt(model.txt2img({ ...base, steps: 3 }), 2);
  assert.equal(last.finishedAfter, undefined);
  assert.deepEqual(pixels(last), pixels(result));
});

test('a waiting run takes one step when its turn comes', async () => {
  const first = model.txt2img({ ...base, steps: 6 });
  const waiting = model.txt2img({ ...base, steps: 500 });
  waiting.finish();
  const [whole, early] = await Promise.all([first, waiting]);
  assert.deepEqual([whole.finishedAfter, early.finishedAfter], [undefined, 1]);
});

test('what a sampler still does is not waited for', async () => {
  const slow: Sampler = async (denoise, x, sigmas, context) => {
    const denoised = await denoise(x, sigmas[0] as number);
    await context.onStep?.({ index: 0, total: 2, sigma: sigmas[0] as number, latent: x, denoised });
    await new Promise(() => {});
    return x;
  };
  const { result } = await finishAt(model.txt2img({ ...base, sampler: slow, steps: 2 }), 0);
  assert.equal(result.finishedAfter, 1);
});

test('a batch and every sampler can be finished early', async () => {
  for (const sampler of Object.keys(SAMPLERS) as (keyof typeof SAMPLERS)[]) {
    const { result } = await finishAt(model.txt2img({ ...base, sampler, steps: 60, batchSize: 2 }), 0);
    assert.equal(result.images.length, 2);
    assert.ok((result.finishedAfter ?? 60) < 60, sampler);
  }
});

test('a second pass is left out, or gives the enlarged image', async () => {
  const hires = { scale: 2, steps: 40, denoisingStrength: 0.5 };
  const { result: first } = await finishAt(model.txt2img({ ...base, steps: 4, hires }), 1);
  assert.deepEqual([first.images[0]?.width, first.images[0]?.parameters?.hires], [32, undefined]);
  const { result: between } = await finishAt(model.txt2img({ ...base, steps: 4, hires }), 3);
  assert.equal(between.images[0]?.width, between.finishedAfter === 4 ? 32 : 64);
  const { result: second } = await finishAt(model.txt2img({ ...base, steps: 4, hires }), 6);
  assert.equal(second.images[0]?.width, 64);
  assert.ok((second.finishedAfter ?? 0) >= 7);
});

test('what a mask leaves out keeps every pixel', async () => {
  const flat = (channels: number, value: (x: number) => number): RawImage => ({
    width: 32,
    height: 24,
    data: Uint8Array.from({ length: channels * 32 * 24 }, (_, i) => value(Math.floor(i / channels) % 32)),
  });
  const run = model.inpaint({ ...base, steps: 60, image: flat(3, () => 99), mask: flat(1, (x) => (x < 16 ? 255 : 0)) });
  const { result } = await finishAt(run, 1);
  const { data } = result.images[0] as { data: Uint8Array };
  for (let i = 0; i < data.length; i++) if (Math.floor(i / 3) % 32 >= 16) assert.equal(data[i], 99);
  assert.ok((result.finishedAfter ?? 60) < 60);
});

test('a run that is cancelled after it was told to finish is cancelled', async () => {
  const controller = new AbortController();
  const run = model.txt2img({ ...base, steps: 500, signal: controller.signal });
  run.finish();
  controller.abort(new Error('gone'));
  await assert.rejects(run, { message: 'gone' });
  await setTimeout(1);
  assert.equal((await model.txt2img({ ...base, steps: 1 })).images.length, 1);
});
