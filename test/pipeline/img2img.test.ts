// Image to image and inpainting with an open model: strength, sizes, masks, and who keeps which pixel.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import {
  type GenerationStep,
  type Img2ImgOptions,
  type InpaintOptions,
  loadModel,
  type Model,
  type RawImage,
  type RgbImage,
  readMetadata,
  SAMPLERS,
  type SamplerName,
  SCHEDULERS,
  type SchedulerName,
  stableDiffusionTable,
} from '../../lib/index.ts';
import { bestBelow, longestBlock } from '../support/event-loop.ts';
import { tinyModel } from '../support/tiny-model.ts';

const [width, height] = [48, 40];
/** Waves of another length in each channel. */
const waves = (w: number, h: number): RawImage => ({
  width: w,
  height: h,
  data: Uint8Array.from({ length: 3 * w * h }, (_, i) => {
    const [x, y, channel] = [Math.floor(i / 3) % w, Math.floor(i / 3 / w), i % 3];
    return 128 + 100 * Math.sin(x / (4 + channel)) * Math.cos(y / (6 - channel));
  }),
});
/** White within the box, black outside. */
const box = (w: number, h: number, left: number, top: number, right: number, bottom: number): RawImage => ({
  width: w,
  height: h,
  data: Uint8Array.from({ length: w * h }, (_, i) => {
    const [x, y] = [i % w, Math.floor(i / w)];
    return x >= left && x < right && y >= top && y < bottom ? 255 : 0;
  }),
});
const image = waves(width, height);
const mask = box(width, height, 10, 9, 30, 25);
const small = { prompt: 'a red apple', image, steps: 4, seed: 7, strength: 0.5 } as const;

let model: Model;
before(async () => {
  model = await loadModel(tinyModel({ vocabulary: 49408, metadata: { 'modelspec.resolution': '64x64' } }).path, {
    threads: 1,
  });
});
after(() => model.dispose());

async function first(run: Promise<{ images: readonly RgbImage[] }>): Promise<RgbImage> {
  return (await run).images[0] as RgbImage;
}
const generate = (options: Partial<Img2ImgOptions> = {}) => first(model.img2img({ ...small, ...options }));
const inpaint = (options: Partial<InpaintOptions> = {}) => first(model.inpaint({ ...small, mask, ...options }));

/** Pixels where `where` holds that are not equal. */
function differing(a: RgbImage, b: RawImage, where: (x: number, y: number) => boolean): number {
  let count = 0;
  for (let i = 0; i < a.data.length; i++) {
    const [x, y] = [Math.floor(i / 3) % a.width, Math.floor(i / 3 / a.width)];
    if (where(x, y) && a.data[i] !== b.data[i]) count++;
  }
  return count;
}
const inBox = (x: number, y: number) => x >= 10 && x < 30 && y >= 9 && y < 25;
const outside = (x: number, y: number) => !inBox(x, y);

test('a strength of 0 gives the image through the VAE, without a step', async () => {
  const run = model.img2img({ ...small, strength: 0 });
  for await (const _ of run) assert.fail('a step was taken');
  const { images, timings } = await run;
  assert.deepEqual(timings.steps, []);
  const other = await first(
    model.img2img({ ...small, strength: 0, prompt: 'something else', sampler: 'heun', steps: 9 }),
  );
  assert.deepEqual(images[0]?.data, other.data);
  assert.notDeepEqual((await generate({ strength: 0, image: waves(width, height + 8) })).data, other.data);
});

test('a strength of 1 starts from the noise of text alone, and inpainting of nothing is text alone, latent for latent', async () => {
  for (const sampler of ['euler', 'euler_a', 'dpm++2m'] as const) {
    const options = { prompt: 'a red apple', steps: 3, seed: 9, sampler, batchSize: 2, width, height } as const;
    const white = box(width, height, 0, 0, width, height);
    const steps = async (run: ReturnType<Model['txt2img']>) => {
      const all: GenerationStep[] = [];
      for await (const step of run) all.push(step);
      return all;
    };
    const [text, empty, images] = [
      await steps(model.txt2img(options)),
      await steps(model.inpaint({ ...options, image, mask: white, strength: 1, maskedContent: 'nothing' })),
      await steps(model.img2img({ ...options, image, strength: 1 })),
    ];
    assert.deepEqual(empty, text);
    assert.deepEqual(
      images.map(({ sigma }) => sigma),
      text.map(({ sigma }) => sigma),
    );
    assert.notDeepEqual(images[0]?.latent, text[0]?.latent);
  }
});

test('the conventions take as many steps as their programs', async () => {
  for (const [convention, strength, expected] of [
    ['webui', 0.01, 1],
    ['webui', 0.5, 6],
    ['webui', 0.99, 10],
    ['webui', 1, 10],
    ['diffusers', 0.01, 1],
    ['diffusers', 0.5, 5],
    ['diffusers', 0.99, 9],
    ['diffusers', 1, 10],
  ] as const) {
    let taken = 0;
    for await (const _ of model.img2img({ ...small, steps: 10, strength, convention })) taken++;
    assert.equal(taken, expected, `${convention} ${strength}`);
  }
});

test('images of another convention than the usual say so', async () => {
  const said = async (convention?: 'webui' | 'diffusers') =>
    (await readMetadata(await (await generate({ convention })).png())).fields.Convention;
  assert.deepEqual([await said(), await said('webui'), await said('diffusers')], [undefined, undefined, 'diffusers']);
});

test('every sampler and schedule takes the last share of its steps', async () => {
  const pairs: [SamplerName, SchedulerName][] = [
    ...Object.entries(SAMPLERS).map(
      ([name, { defaultScheduler }]) => [name, defaultScheduler] as [SamplerName, SchedulerName],
    ),
    ...Object.keys(SCHEDULERS).map((name) => ['euler', name] as [SamplerName, SchedulerName]),
  ];
  for (const [sampler, scheduler] of pairs) {
    const sigmas = SCHEDULERS[scheduler](6, stableDiffusionTable());
    for (const [strength, steps] of [
      [0.01, 1],
      [0.5, 4],
      [0.99, 6],
    ] as const) {
      const seen: number[] = [];
      for await (const { sigma, total } of model.img2img({ ...small, steps: 6, strength, sampler, scheduler })) {
        assert.equal(total, steps);
        seen.push(sigma);
      }
      assert.deepEqual(seen, [...sigmas.slice(6 - steps, 6)], `${sampler} ${scheduler} ${strength}`);
    }
    const generated = await inpaint({ sampler, scheduler });
    assert.equal(differing(generated, image, outside), 0, `${sampler} ${scheduler}`);
    assert.ok(differing(generated, image, inBox) > 300, `${sampler} ${scheduler}`);
  }
});

test('sigmas of the user and a sampler of the user start from an image too', async () => {
  const seen: number[] = [];
  const run = model.img2img({ ...small, steps: undefined, scheduler: [10, 5, 2, 1, 0], strength: 0.5 });
  for await (const { sigma } of run) seen.push(sigma);
  assert.deepEqual(seen, [5, 2, 1]);
  const levels: number[][] = [];
  await inpaint({
    sampler: async (denoise, x, sigmas) => {
      levels.push([...sigmas]);
      return denoise(x, sigmas[0] as number);
    },
  });
  assert.equal(levels[0]?.length, 4);
});

test('more strength leaves less of the image', async () => {
  const untouched = await generate({ strength: 0 });
  const distance = async (strength: number) => {
    const { data } = await generate({ strength, sampler: 'euler', cfgScale: 1 });
    return data.reduce((sum, value, i) => sum + Math.abs(value - (untouched.data[i] as number)), 0);
  };
  const distances = [await distance(0.25), await distance(0.75)];
  assert.ok((distances[0] as number) > 0 && (distances[0] as number) < (distances[1] as number), `${distances}`);
});

test('each image of a batch is the one that its own seed gives alone', async () => {
  const pairs = [
    [await model.img2img({ ...small, batchSize: 2 }), await generate({ seed: 8 })],
    [await model.inpaint({ ...small, mask, batchSize: 2 }), await inpaint({ seed: 8 })],
  ] as const;
  for (const [{ images }, alone] of pairs) {
    assert.ok(alone.data.every((value, i) => Math.abs(value - (images[1]?.data[i] as number)) <= 1));
    assert.equal(images[1]?.parameters?.seed, 8);
  }
});

test('the size is that of the image, rounded down to a multiple of 8, or what is asked for', async () => {
  const sizes: [Partial<Img2ImgOptions>, number[]][] = [
    [{}, [48, 40]],
    [{ image: waves(49, 47) }, [48, 40]],
    [{ image: waves(3, 5) }, [8, 8]],
    [{ width: 24 }, [24, 16]],
    [{ height: 80 }, [96, 80]],
    [{ width: 32, height: 64 }, [32, 64]],
    [{ image: waves(48, 40), resizeMode: 'none' }, [48, 40]],
  ];
  for (const [options, size] of sizes) {
    const generated = await generate({ steps: 1, strength: 0, ...options });
    assert.deepEqual([generated.width, generated.height], size);
  }
  const modes = await Promise.all(
    (['fill', 'fit', 'stretch'] as const).map((resizeMode) =>
      generate({ strength: 0, width: 64, height: 24, resizeMode }),
    ),
  );
  assert.equal(new Set(modes.map(({ data }) => Buffer.from(data).toString('latin1'))).size, 3);
});

test('what the mask leaves out equals the input pixel for pixel, whatever is masked and how', async () => {
  const rows: Partial<InpaintOptions>[] = [
    {},
    { strength: 1 },
    { strength: 0 },
    { maskedContent: 'fill' },
    { maskedContent: 'noise' },
    { maskedContent: 'nothing' },
    { cfgScale: 1, sampler: 'lms' },
    { batchSize: 2 },
    { paddingMaskCrop: 0 },
    { paddingMaskCrop: 8, width: 32, height: 32 },
    { paddingMaskCrop: 4000 },
  ];
  const seen = new Set<string>();
  for (const options of rows) {
    const { images } = await model.inpaint({ ...small, mask, ...options });
    for (const generated of images) {
      assert.deepEqual([generated.width, generated.height], [width, height]);
      assert.equal(differing(generated, image, outside), 0, JSON.stringify(options));
      assert.ok(differing(generated, image, inBox) > 300, JSON.stringify(options));
      seen.add(Buffer.from(generated.data).toString('latin1'));
    }
  }
  // The first image of a batch is the image generated alone.
  assert.equal(seen.size, rows.length, 'every row generates a different image');
});

test('a soft mask changes nothing beyond three times its blur, and blends within', async () => {
  const generated = await inpaint({ maskBlur: 2, strength: 1 });
  const near = (x: number, y: number) => x >= 4 && x < 36 && y >= 3 && y < 31;
  assert.equal(
    differing(generated, image, (x, y) => !near(x, y)),
    0,
  );
  assert.ok(differing(generated, image, (x, y) => near(x, y) && outside(x, y)) > 100, 'the edge is soft');
  const hard = await inpaint({ strength: 1 });
  const center = (x: number, y: number) => x >= 17 && x < 23 && y >= 16 && y < 18;
  assert.equal(differing(generated, hard, center), 0, 'the center is fully regenerated');
});

test('a mask thinner than its blur is still regenerated', async () => {
  const thin = box(width, height, 20, 0, 22, height);
  const generated = await inpaint({ mask: thin, maskBlur: 4, strength: 1 });
  assert.ok(differing(generated, image, (x) => x === 20) > 50);
});

test('gray in a mask blends by as much', async () => {
  const half: RawImage = { ...mask, data: Uint8Array.from(mask.data, (value) => (value ? 128 : 0)) };
  const [whole, blended] = [await inpaint(), await inpaint({ mask: half })];
  const at = 3 * (15 * width + 20);
  for (let i = at; i < at + 30; i++) {
    const expected = (image.data[i] as number) + (128 / 255) * ((whole.data[i] as number) - (image.data[i] as number));
    assert.ok(Math.abs((blended.data[i] as number) - expected) <= 1);
  }
});

test('an inverted mask regenerates the rest', async () => {
  const generated = await inpaint({ invertMask: true });
  assert.equal(differing(generated, image, inBox), 0);
  assert.ok(differing(generated, image, outside) > 1000);
});

test('a mask of another size is stretched to the image', async () => {
  // A quarter of the size; its box is the image's quarter from (12, 8) to (32, 24).
  const generated = await inpaint({ mask: box(12, 10, 3, 2, 8, 6) });
  const covered = (x: number, y: number) => x >= 9 && x < 35 && y >= 5 && y < 27;
  assert.equal(
    differing(generated, image, (x, y) => !covered(x, y)),
    0,
  );
  assert.ok(differing(generated, image, (x, y) => x >= 14 && x < 30 && y >= 10 && y < 22) > 300);
  assert.equal(
    differing(await inpaint({ mask: box(1, 1, 0, 0, 1, 1) }), image, () => true) > 1000,
    true,
    'one white pixel is all',
  );
});

test('the masked region alone is generated at its own size and put back into an image of any size', async () => {
  const large = waves(131, 77);
  const region = box(131, 77, 90, 5, 120, 30);
  for (const options of [{ width: 32, height: 32 }, { width: 64, height: 24 }, {}]) {
    const generated = await inpaint({ image: large, mask: region, paddingMaskCrop: 6, strength: 1, ...options });
    assert.deepEqual([generated.width, generated.height], [131, 77]);
    const inRegion = (x: number, y: number) => x >= 90 && x < 120 && y >= 5 && y < 30;
    assert.equal(
      differing(generated, large, (x, y) => !inRegion(x, y)),
      0,
    );
    assert.ok(differing(generated, large, inRegion) > 1500);
    // By default the model's own size, and the parameters have the generated size.
    assert.deepEqual(
      [generated.parameters?.width, generated.parameters?.height],
      [options.width ?? 64, options.height ?? 64],
    );
  }
});

test('filling takes the colours around the mask', async () => {
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    return inBox(x, y) ? 255 : ([200, 40, 40][i % 3] as number);
  });
  const options = { image: { width, height, data }, strength: 0, maskBlur: 0 } as const;
  const mean = ({ data: pixels }: RgbImage, channel: number) => {
    const values = Array.from({ length: 6 }, (_, k) => pixels[3 * (16 * width + 17 + k) + channel] as number);
    return values.reduce((a, b) => a + b) / values.length;
  };
  const red = {
    width,
    height,
    data: Uint8Array.from({ length: 3 * width * height }, (_, i) => [200, 40, 40][i % 3] as number),
  };
  const expected = await generate({ image: red, strength: 0 });
  const filled = await inpaint({ ...options, maskedContent: 'fill' });
  for (const channel of [0, 1, 2]) assert.ok(Math.abs(mean(filled, channel) - mean(expected, channel)) < 12);
});

test('the metadata of an image tells how it was made', async () => {
  const { fields, strength, steps } = await readMetadata(await (await generate()).png());
  assert.deepEqual([strength, steps, fields['Denoising strength']], [0.5, 4, '0.5']);
  const generated = await inpaint({ maskBlur: 4, maskedContent: 'fill', paddingMaskCrop: 16 });
  const { fields: of } = await readMetadata(await generated.png());
  assert.deepEqual(
    [of['Mask blur'], of['Masked content'], of['Inpaint area'], of['Masked area padding'], of.Size],
    ['4', 'fill', 'Only masked', '16', '64x64'],
  );
});

test('images may change once the call is made', async () => {
  const expected = await generate();
  const changing = waves(width, height);
  const run = first(model.img2img({ ...small, image: changing }));
  changing.data.fill(0);
  assert.deepEqual((await run).data, expected.data);
});

test('a generated image can be an input image', async () => {
  const generated = await generate();
  assert.deepEqual(
    (await generate({ image: generated })).data,
    (await generate({ image: await generated.png() })).data,
  );
});

test('runs of all kinds follow each other in the order of their calls', async () => {
  const order: string[] = [];
  const onStep = (name: string) => ({ onStep: ({ index }: GenerationStep) => void order.push(`${name}${index}`) });
  await Promise.all([
    model.img2img({ ...small, ...onStep('a') }),
    model.txt2img({ prompt: 'x', width, height, steps: 2, ...onStep('b') }),
    model.inpaint({ ...small, mask, ...onStep('c') }),
  ]);
  assert.deepEqual(order, ['a0', 'a1', 'a2', 'b0', 'b1', 'c0', 'c1', 'c2']);
});

test('an image that cannot be read is reported before earlier runs end', async () => {
  const controller = new AbortController();
  const long = model.txt2img({ prompt: 'x', width: 128, height: 128, steps: 500, signal: controller.signal });
  await assert.rejects(model.img2img({ ...small, image: '/no/such.png' }), { code: 'ERR_FILE' });
  controller.abort();
  await assert.rejects(long, { name: 'AbortError' });
  assert.ok(await generate(), 'the model works on');
});

test('an abort ends a run wherever it is, and dispose() too', async () => {
  for (const delay of [0, 5, 30, 100]) {
    const controller = new AbortController();
    const options = { ...small, image: waves(128, 128), steps: 200, signal: controller.signal };
    const runs = [model.img2img(options), model.inpaint({ ...options, mask: box(128, 128, 0, 0, 64, 64) })];
    const ended = runs.map((run) => assert.rejects(run, (reason) => reason === controller.signal.reason));
    await setTimeout(delay);
    controller.abort(new Error('mine'));
    await Promise.all(ended);
  }
  const other = await loadModel(tinyModel({ vocabulary: 49408 }).path, { threads: 1 });
  const run = assert.rejects(other.img2img({ ...small, steps: 500, strength: 1 }), { code: 'ERR_DISPOSED' });
  await setTimeout(20);
  await Promise.all([other.dispose(), run]);
});

test('the work on large images and masks does not hold up the event loop', async () => {
  const [large, largeMask] = [waves(1024, 768), box(1024, 768, 500, 300, 700, 500)];
  const block = await bestBelow(40, () =>
    longestBlock(
      inpaint({ image: large, mask: largeMask, maskBlur: 6, maskedContent: 'fill', paddingMaskCrop: 40, strength: 0 }),
    ),
  );
  assert.ok(block < 40, `blocked for ${block} ms`);
});
