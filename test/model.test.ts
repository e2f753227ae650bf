// Generating images with an open model: results, steps, seeds, order, cancelling and disposing.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import {
  type GenerationStep,
  loadModel,
  type Model,
  readMetadata,
  type Sampler,
  type Txt2ImgOptions,
} from '../lib/index.ts';
import { modelName } from '../lib/loading/source.ts';
import { tinyModel } from './support/tiny-model.ts';

const small = { prompt: 'a red apple', width: 64, height: 48, steps: 3, seed: 7 } as const;
const path = tinyModel({ vocabulary: 49408, metadata: { 'modelspec.resolution': '64x40' } }).path;
let model: Model;

before(async () => {
  model = await loadModel(path, { threads: 1 });
});
after(() => model.dispose());

/** Pixels of the first image. */
async function generate(options: Partial<Txt2ImgOptions> = {}, with_ = model): Promise<Uint8Array> {
  const { images } = await with_.txt2img({ ...small, ...options });
  return (images[0] as (typeof images)[0]).data;
}

/** A run that takes long enough to be cancelled in its middle. */
const long = { ...small, width: 128, height: 128, steps: 200 } as const;

test('a run gives images, seed and timings', async () => {
  const { images, seed, timings } = await model.txt2img({ ...small, batchSize: 2 });
  assert.deepEqual(
    images.map(({ width, height, data }) => [width, height, data.length]),
    [
      [64, 48, 9216],
      [64, 48, 9216],
    ],
  );
  assert.ok(
    images.every(({ data }) => new Set(data).size > 10),
    'images are not plain',
  );
  assert.equal(seed, 7);
  assert.equal(timings.steps.length, 3);
  const { textEncoding, sampling, decoding, total, steps } = timings;
  for (const time of [textEncoding, sampling, decoding, ...steps]) assert.ok(time > 0 && time <= total);
});

test('a run gives its steps as they finish', async () => {
  const steps: GenerationStep[] = [];
  const called: GenerationStep[] = [];
  const run = model.txt2img({ ...small, batchSize: 2, preview: true, onStep: (step) => void called.push(step) });
  for await (const step of run) steps.push(step);
  assert.deepEqual(
    steps.map(({ index, total }) => [index, total]),
    [
      [0, 3],
      [1, 3],
      [2, 3],
    ],
  );
  assert.deepEqual(called, steps);
  const sigmas = steps.map(({ sigma }) => sigma);
  assert.deepEqual(
    sigmas,
    [...sigmas].sort((a, b) => b - a),
  );
  for (const { latent, preview } of steps) {
    assert.equal(latent.length, 2 * 4 * 8 * 6);
    assert.deepEqual([preview?.width, preview?.height], [2 * 8, 6]);
  }
  assert.equal((await run).images.length, 2);
});

test('previews by the VAE end in the image, those with noise too', async () => {
  for (const previewNoisy of [false, true]) {
    const run = model.txt2img({ ...small, sampler: 'euler', preview: 'vae', previewNoisy });
    const previews: (Uint8Array | undefined)[] = [];
    for await (const { preview } of run) previews.push(preview?.data);
    const [image] = (await run).images;
    assert.deepEqual(previews.at(-1), image?.data);
    assert.notDeepEqual(previews[0], image?.data);
  }
});

test('a model may bring the projection of its previews', async () => {
  const previewOf = async (projection: string) => {
    const source = tinyModel({ vocabulary: 49408, metadata: { latent_rgb_projection: projection } }).path;
    await using own = await loadModel(source, { threads: 1 });
    for await (const { preview } of own.txt2img({ ...small, steps: 1, preview: true })) return preview?.data;
    return undefined;
  };
  const green = [
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [-1, 1, -1],
  ];
  assert.deepEqual([...new Set(await previewOf(JSON.stringify(green)))], [0, 255]);
  for (const wrong of [
    'green',
    '[]',
    JSON.stringify(green.slice(1)),
    JSON.stringify([...green.slice(1), [1, 2, '3']]),
  ]) {
    await assert.rejects(previewOf(wrong), { code: 'ERR_MODEL_CORRUPT', message: /latent_rgb_projection/ });
  }
});

test('the same seed gives the same image, another gives another', async () => {
  const image = await generate();
  assert.deepEqual(await generate(), image);
  assert.notDeepEqual(await generate({ seed: 8 }), image);
  assert.notDeepEqual(await generate({ rng: 'cpu' }), image);
});

test('each image of a batch is the one that its own seed gives alone', async () => {
  const { images } = await model.txt2img({ ...small, batchSize: 3 });
  for (const [i, { data, parameters }] of images.entries()) {
    const alone = await generate({ seed: 7 + i });
    assert.ok(data.every((value, j) => Math.abs(value - (alone[j] as number)) <= 1));
    assert.equal(parameters?.seed, 7 + i);
  }
});

test('a random seed is reported and repeats the image', async () => {
  const { seed: _, ...unseeded } = small;
  const [a, b] = await Promise.all([model.txt2img(unseeded), model.txt2img({ ...unseeded, seed: -1 })]);
  assert.notEqual(a.seed, b.seed);
  assert.deepEqual(await generate({ seed: a.seed }), a.images[0]?.data);
});

test('the size defaults to the one that the file names', async () => {
  const { images } = await model.txt2img({ prompt: 'x', steps: 1 });
  assert.deepEqual([images[0]?.width, images[0]?.height], [64, 40]);
});

test('any multiple of 8 is a size', async () => {
  for (const [width, height] of [
    [8, 8],
    [56, 24],
    [104, 72],
  ] as const) {
    assert.equal((await generate({ width, height, steps: 1 })).length, width * height * 3);
  }
});

test('the metadata of an image is enough to reproduce it', async () => {
  const options = {
    ...small,
    prompt: 'a (red:1.3) apple, りんご',
    negativePrompt: 'blue',
    sampler: 'dpm++2m',
    scheduler: 'karras',
    clipSkip: 2,
    cfgScale: 4.5,
    rng: 'cpu',
  } as const;
  const { images } = await model.txt2img(options);
  const image = images[0] as (typeof images)[0];
  const { prompt, negativePrompt, steps, sampler, scheduler, cfgScale, seed, width, height, clipSkip, rng, fields } =
    await readMetadata(await image.png());
  const again = { prompt, negativePrompt, steps, sampler, scheduler, cfgScale, seed, width, height, clipSkip, rng };
  assert.deepEqual(again, options);
  assert.match(fields.Version as string, /^node-diffusion \d/);
  assert.deepEqual(await generate(again as Txt2ImgOptions), image.data);
});

test('every option changes the image', async () => {
  const image = await generate();
  const changes: Partial<Txt2ImgOptions>[] = [
    { prompt: 'a green apple' },
    { prompt: 'a (red:1.5) apple' },
    { prompt: `a red apple ${'and more '.repeat(50)}` },
    { negativePrompt: 'a pear' },
    { cfgScale: 3 },
    { sampler: 'heun' },
    { scheduler: 'karras' },
    { scheduler: [10, 5, 1, 0] },
    { eta: 0.5 },
    { clipSkip: 2 },
  ];
  for (const change of changes) assert.notDeepEqual(await generate(change), image, JSON.stringify(change));
});

test('a guidance scale of 1 ignores the negative prompt, and 0 the prompt', async () => {
  assert.deepEqual(
    await generate({ cfgScale: 1, negativePrompt: `x ${'y '.repeat(100)}` }),
    await generate({ cfgScale: 1 }),
  );
  assert.deepEqual(await generate({ cfgScale: 0, prompt: 'anything' }), await generate({ cfgScale: 0 }));
});

test('a sampler may be a function', async () => {
  const euler: Sampler = async (denoise, x, sigmas, { onStep }) => {
    const total = sigmas.length - 1;
    for (let index = 0; index < total; index++) {
      const sigma = sigmas[index] as number;
      const ratio = (sigmas[index + 1] as number) / sigma;
      const denoised = await denoise(x, sigma);
      x = x.map((value, i) => ratio * value + (1 - ratio) * (denoised[i] as number));
      await onStep?.({ index, total, sigma, latent: x, denoised });
    }
    return x;
  };
  const [own, built] = [await generate({ sampler: euler }), await generate({ sampler: 'euler' })];
  assert.ok(own.every((value, i) => Math.abs(value - (built[i] as number)) <= 1));
});

test('runs of one model follow each other in the order of their calls', async () => {
  const order: string[] = [];
  const call = (name: string) => model.txt2img({ ...small, onStep: ({ index }) => void order.push(`${name}${index}`) });
  await Promise.all([call('a'), call('b'), call('c')]);
  assert.deepEqual(order, ['a0', 'a1', 'a2', 'b0', 'b1', 'b2', 'c0', 'c1', 'c2']);
});

test('an abort ends a run within 200 ms, wherever it is', async () => {
  for (const delay of [0, 20, 100, 300]) {
    // A busy machine may keep the process itself waiting: the quickest of a few aborts tells how long the model takes.
    const times: number[] = [];
    for (let i = 0; i < 3 && !times.some((time) => time < 200); i++) times.push(await timeAbort(delay));
    assert.ok(Math.min(...times) < 200, `${delay} ms after the start: ${times}`);
  }
  assert.ok(await generate(), 'the model remains usable');
});

/** Milliseconds from an abort to the end of its run. */
async function timeAbort(delay: number): Promise<number> {
  const controller = new AbortController();
  const run = model.txt2img({ ...long, signal: controller.signal });
  const ended = assert.rejects(run, (reason) => reason === controller.signal.reason);
  await setTimeout(delay);
  const start = performance.now();
  controller.abort();
  await ended;
  return performance.now() - start;
}

test('an abort while the VAE decodes ends the run', async () => {
  const controller = new AbortController();
  const options = { ...small, width: 128, height: 128, steps: 1, signal: controller.signal };
  const run = model.txt2img({ ...options, onStep: () => void setTimeout(5).then(() => controller.abort()) });
  await assert.rejects(run, { name: 'AbortError' });
});

test('an abort of a waiting run does not disturb the one before it', async () => {
  const controller = new AbortController();
  const first = model.txt2img(small);
  const second = model.txt2img({ ...small, signal: controller.signal });
  controller.abort();
  await assert.rejects(second, { name: 'AbortError' });
  assert.equal((await first).images.length, 1);
});

test('leaving an iteration early frees the model for the next run', async () => {
  for await (const { index } of model.txt2img(long)) if (index === 1) break;
  assert.ok(await generate());
});

test('what onStep throws ends the run, and an async one is awaited', async () => {
  const mine = new Error('mine');
  const sync = () => {
    throw mine;
  };
  await assert.rejects(model.txt2img({ ...small, onStep: sync }), mine);
  await assert.rejects(model.txt2img({ ...small, onStep: () => Promise.reject(mine) }), mine);
  const { timings } = await model.txt2img({ ...small, onStep: () => setTimeout(20) });
  assert.ok(timings.steps.every((time) => time >= 19));
});

test('an abort and dispose() end a run whose sampler or onStep never does', async () => {
  const never = () => new Promise<never>(() => {});
  for (const option of [{ sampler: never }, { onStep: never }]) {
    const controller = new AbortController();
    const run = model.txt2img({ ...small, ...option, signal: controller.signal });
    void setTimeout(50).then(() => controller.abort());
    await assert.rejects(run, { name: 'AbortError' });
  }
  assert.ok(await generate(), 'the model remains usable');
  const other = await loadModel(path, { threads: 1 });
  const run = assert.rejects(other.txt2img({ ...small, sampler: never }), { code: 'ERR_DISPOSED' });
  await setTimeout(50);
  await Promise.all([other.dispose(), run]);
});

test('disposing ends what runs and what waits, at any moment and more than once', async () => {
  const other = await loadModel(path, { threads: 1 });
  const runs = [other.txt2img(long), other.txt2img(long)].map((run) => assert.rejects(run, { code: 'ERR_DISPOSED' }));
  await setTimeout(50);
  await Promise.all([other.dispose(), other.dispose(), ...runs]);
  await other.dispose();
});

test('a model is disposed of at the end of its block', async () => {
  let escaped: Model;
  {
    await using scoped = await loadModel(path, { threads: 1 });
    escaped = scoped;
    assert.ok(await generate({}, scoped));
  }
  await assert.rejects(escaped.txt2img(small), { code: 'ERR_DISPOSED' });
});

test('a load reports its progress and can be cancelled by it', async () => {
  const progress: number[] = [];
  const loaded = await loadModel(path, { onProgress: ({ done, total }) => progress.push(done / total) });
  await loaded.dispose();
  assert.equal(progress.at(-1), 1);
  await assert.rejects(
    loadModel(path, {
      onProgress: () => {
        throw new Error('mine');
      },
    }),
    { message: 'mine' },
  );
});

test('the prediction type can be overridden', async () => {
  await using v = await loadModel(path, { prediction: 'v', threads: 1 });
  assert.equal(v.info.prediction, 'v');
  assert.notDeepEqual(await generate({}, v), await generate());
});

test('a model is named by its file or folder', () => {
  for (const [model, name] of [
    ['/a/v1-5.safetensors', 'v1-5'],
    ['b/sd.q8_0.gguf', 'sd.q8_0'],
    ['models/sd-1.5/', 'sd-1.5'],
    ['m.safetensors.index.json', 'm'],
  ] as const) {
    assert.equal(modelName({ model }), name);
  }
});

test('a model loaded from parts generates the same images as the whole', async () => {
  await using parts = await loadModel({ unet: path, textEncoder: path, vae: path }, { threads: 1 });
  assert.deepEqual(await generate({}, parts), await generate());
});
