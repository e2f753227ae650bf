// Models whose UNet takes concat conditioning: images compared with those of diffusers (golden values from
// test/reference/concat_conditioning.py), and the tasks that each model supports.

import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import {
  type Depth2ImgOptions,
  type EditOptions,
  type GenerationResult,
  type GenerationStep,
  type InpaintOptions,
  loadModel,
  type Model,
  type Run,
} from '../../lib/index.ts';
import { assertClose, psnr } from '../support/compare.ts';
import { bytes, floats, type GoldenImage, type GoldenRun, golden, pixels } from '../support/golden.ts';
import {
  depthArchitecture,
  editArchitecture,
  inpaintArchitecture,
  type TinyModelArchitecture,
  tinyArchitecture,
} from '../support/tiny-architectures.ts';
import { tinyDepthModel } from '../support/tiny-depth.ts';
import { tinyModel } from '../support/tiny-model.ts';

interface Options {
  prompt: string;
  negativePrompt: string;
  steps: number;
  cfgScale: number;
  seed: number;
  batchSize: number;
  sampler: 'euler' | 'euler_a';
  prediction: 'epsilon' | 'v';
  strength?: number;
  imageCfgScale?: number;
  /** Depth, by the network beside the model. */
  estimated?: boolean;
}

type Case = GoldenRun<Options>;

const goldens = golden<{
  image: GoldenImage;
  mask: GoldenImage;
  depthOfImage: GoldenImage;
  inpaint: Case[];
  edit: Case[];
  depth: Case[];
}>('concat_conditioning.json');

const [image, mask, depth] = [goldens.image, goldens.mask, goldens.depthOfImage].map(pixels) as [
  ReturnType<typeof pixels>,
  ReturnType<typeof pixels>,
  ReturnType<typeof pixels>,
];

const computing = { device: 'cpu', threads: 1, precision: 'f32' } as const;
const tiny = (architecture: TinyModelArchitecture) => tinyModel({ architecture, vocabulary: 49408 }).path;
const load = (architecture: TinyModelArchitecture) => loadModel(tiny(architecture), computing);

type Generate = (
  model: Model,
  options: Omit<Options, 'prediction'> & { scheduler: 'discrete'; rng: 'cpu' },
) => Run<GenerationStep, GenerationResult>;

/** @param shown what is compared of an image; by default all. */
function compare(
  path: string,
  cases: readonly Case[],
  generate: Generate,
  shown = (_: number) => true,
  tolerance = 1e-4,
): void {
  for (const { options, latent, images: expected } of cases) {
    const { prediction, ...rest } = options;
    it(JSON.stringify(options), async () => {
      await using model = await loadModel(path, { ...computing, prediction });
      const run = generate(model, { ...rest, scheduler: 'discrete', rng: 'cpu' });
      let last: Float32Array = new Float32Array();
      for await (const step of run) last = step.latent;
      assertClose(last, floats(latent), tolerance);
      const least = tolerance > 1e-4 ? 45 : 60;
      const { images } = await run;
      assert.equal(images.length, expected.length);
      images.forEach(({ data }, i) => {
        const theirs = bytes(expected[i] as string);
        const decibels = psnr(
          data.filter((_, j) => shown(j)),
          theirs.filter((_, j) => shown(j)),
          255,
        );
        assert.ok(decibels >= least, `at least ${least} dB were expected of image ${i}, it has ${decibels.toFixed(1)}`);
      });
    });
  }
}

describe('inpaint with an inpainting model generates the images of diffusers inside the mask', () => {
  const isMasked = (i: number) => mask.data[Math.floor(i / 3)] === 255;
  compare(
    tiny(inpaintArchitecture),
    goldens.inpaint,
    (model, options) => model.inpaint({ ...options, image, mask, convention: 'diffusers' }),
    isMasked,
  );
});

describe('edit generates the images of diffusers', () => {
  compare(tiny(editArchitecture), goldens.edit, (model, options) => model.edit({ ...options, image }));
});

describe('depth2img generates the images of diffusers', () => {
  const given = goldens.depth.filter(({ options }) => !options.estimated);
  compare(tiny(depthArchitecture), given, (model, options) =>
    model.depth2img({ ...options, image, depth, convention: 'diffusers' }),
  );
});

describe('depth2img estimates the depth itself as diffusers does', () => {
  const estimated = goldens.depth.filter(({ options }) => options.estimated);
  const generate: Generate = (model, { estimated: _, ...options }) =>
    model.depth2img({ ...options, image, convention: 'diffusers' });
  // Pillow rounds to whole levels between the two passes in which it resizes the image for the network.
  compare(tinyDepthModel(49408), estimated, generate, undefined, 1e-2);
});

const common = { prompt: 'a red apple', steps: 3, seed: 3, sampler: 'euler', rng: 'cpu' } as const;
const size = { width: image.width, height: image.height };
const imageOf = async (run: Run<GenerationStep, GenerationResult>) => (await run).images[0]?.data as Uint8Array;

test('img2img and txt2img with an inpainting model are inpainting with everything masked', async () => {
  await using model = await load(inpaintArchitecture);
  const white = { ...mask, data: new Uint8Array(mask.data.length).fill(255) };
  const whole = (options: Partial<InpaintOptions>) =>
    imageOf(model.inpaint({ ...common, image, mask: white, ...options }));
  const anew = (options: Partial<InpaintOptions>) => imageOf(model.img2img({ ...common, image, ...options }));
  const [half, all] = [await anew({ strength: 0.5 }), await anew({ strength: 1 })];
  assert.deepEqual(await whole({ strength: 0.5 }), half);
  assert.deepEqual(await whole({ strength: 1 }), all);
  assert.notDeepEqual(half, all);
  // Without an image the sample of the gray one is the first of its generator.
  const text = await imageOf(model.txt2img({ ...common, ...size }));
  assert.ok(psnr(text, await whole({ strength: 1, maskedContent: 'nothing' }), 255) > 15);
});

test('an inpainting model sees only what is not masked', async () => {
  await using model = await load(inpaintArchitecture);
  const isMasked = (_: number, i: number) => mask.data[Math.floor(i / 3)] === 255;
  const hidden = { ...image, data: image.data.map((value, i) => (isMasked(value, i) ? 7 : value)) };
  const shown = { ...image, data: image.data.map((value, i) => (isMasked(value, i) ? value : 7)) };
  const masked = async (shown: typeof image) =>
    (await imageOf(model.inpaint({ ...common, image: shown, mask, strength: 1, convention: 'diffusers' }))).filter(
      isMasked,
    );
  assert.deepEqual(await masked(hidden), await masked(image));
  assert.notDeepEqual(await masked(shown), await masked(image));
});

test('guidance scales of 0 and 1 make an edit ignore the prompts or the image', async () => {
  await using model = await load(editArchitecture);
  const generate = (options: Partial<EditOptions>) => imageOf(model.edit({ ...common, image, ...options }));
  const negativePrompt = 'blurry';
  const plain = { cfgScale: 1, imageCfgScale: 1 };
  assert.deepEqual(await generate({ ...plain, negativePrompt }), await generate(plain));
  assert.notDeepEqual(await generate({ cfgScale: 1, negativePrompt }), await generate({ cfgScale: 1 }));
  const unconditional = { cfgScale: 0, imageCfgScale: 0 };
  const other = { ...image, data: image.data.map((value) => 255 - value) };
  assert.deepEqual(
    await generate({ ...unconditional, prompt: 'a lemon', image: other }),
    await generate(unconditional),
  );
  assert.notDeepEqual(await generate({ image: other }), await generate({}));
});

test('a depth map of another size covers the same image', async () => {
  await using model = await load(depthArchitecture);
  const generate = (options: Partial<Depth2ImgOptions>) =>
    imageOf(model.depth2img({ ...common, image, depth, strength: 1, ...options }));
  const twice = { width: 96, height: 64, data: new Uint8Array(96 * 64) };
  twice.data.forEach((_, i) => {
    twice.data[i] = depth.data[Math.floor(i / 192) * 48 + Math.floor((i % 96) / 2)] as number;
  });
  const [own, doubled, inverted] = [
    await generate({}),
    await generate({ depth: twice }),
    await generate({ depth: { ...depth, data: depth.data.map((value) => 255 - value) } }),
  ];
  assert.ok(psnr(doubled, own, 255) > 25, 'nearly the same depth');
  assert.ok(psnr(inverted, own, 255) < psnr(doubled, own, 255) - 6, 'another depth');
  // Contrast is stretched, so half of it is the same depth.
  const faint = { width: 48, height: 32, data: Float32Array.from(depth.data, (value) => value / 510) };
  assert.ok(psnr(await generate({ depth: faint }), own, 255) > 25);
  for (const resizeMode of ['fill', 'fit', 'stretch'] as const) {
    assert.equal((await generate({ width: 16, height: 32, resizeMode })).length, 3 * 16 * 32);
  }
  assert.equal((await generate({ depth: { ...depth, data: depth.data.map(() => 9) } })).length, own.length);
});

const TASKS = {
  txt2img: (model: Model) => model.txt2img({ ...common, ...size, steps: 1 }),
  img2img: (model: Model) => model.img2img({ ...common, image, steps: 1 }),
  inpaint: (model: Model) => model.inpaint({ ...common, image, mask, steps: 1 }),
  edit: (model: Model) => model.edit({ ...common, image, steps: 1 }),
  depth2img: (model: Model) => model.depth2img({ ...common, image, depth, steps: 1 }),
};

for (const [architecture, tasks, message] of [
  [tinyArchitecture, ['txt2img', 'img2img', 'inpaint'], /sd1.* takes a latent alone/],
  [inpaintArchitecture, ['txt2img', 'img2img', 'inpaint'], /sd1-inpaint.* takes a mask/],
  [editArchitecture, ['edit'], /sd1-edit.* takes an image to edit.*Use edit$/],
  [depthArchitecture, ['depth2img'], /sd2-depth.* takes depth.*Use depth2img$/],
] as const) {
  const channels = architecture.unet.inChannels ?? 4;
  test(`a model of ${channels} channels supports ${tasks.join(', ')}, and says so if another task is called`, async () => {
    await using model = await load(architecture);
    for (const [task, generate] of Object.entries(TASKS)) {
      if ((tasks as readonly string[]).includes(task)) assert.equal((await generate(model)).images.length, 1);
      else await assert.rejects(generate(model), { code: 'ERR_MODEL_UNSUPPORTED', message });
    }
  });
}

test('a model with an unknown number of channels supports no task', async () => {
  const unet = { ...tinyArchitecture.unet, inChannels: 7 };
  await using model = await load({ ...tinyArchitecture, unet });
  for (const generate of Object.values(TASKS)) {
    await assert.rejects(generate(model), {
      code: 'ERR_MODEL_UNSUPPORTED',
      message: /takes 7 channels for a latent of 4/,
    });
  }
});

const TYPE = 'ERR_INVALID_ARG_TYPE';
const VALUE = 'ERR_INVALID_ARG_VALUE';
const BAD_EDITS: readonly (readonly [what: string, options: object, code: string, message: RegExp])[] = [
  ['no image', { image: undefined }, TYPE, /for image but received undefined/],
  ['an image scale that is NaN', { imageCfgScale: Number.NaN }, VALUE, /for imageCfgScale but received NaN/],
  ['a negative image scale', { imageCfgScale: -1 }, VALUE, /at least 0 for imageCfgScale but received -1/],
  ['an infinite image scale', { imageCfgScale: Number.POSITIVE_INFINITY }, VALUE, /for imageCfgScale/],
  ['an image scale as text', { imageCfgScale: '1.5' }, TYPE, /for imageCfgScale but received '1\.5'/],
  ['a strength', { strength: 0.5 }, 'ERR_UNKNOWN_OPTION', /for strength/],
  ['a mask', { mask }, 'ERR_UNKNOWN_OPTION', /for mask/],
  ['a misspelled scale', { imgCfgScale: 2 }, 'ERR_UNKNOWN_OPTION', /Did you mean 'imageCfgScale'\?/],
];
const BAD_DEPTHS: typeof BAD_EDITS = [
  ['a depth that is a number', { depth: 3 }, TYPE, /for depth but received 3/],
  ['a depth that is null', { depth: null }, TYPE, /for depth but received null/],
  ['a depth that is missing', { depth: '/no/such.png' }, 'ERR_FILE', /\/no\/such\.png/],
  ['a depth that is no image', { depth: Buffer.from('hello') }, 'ERR_IMAGE', /the bytes of depth/],
  ['a depth of NaN', { depth: { ...depth, data: new Float32Array(depth.data.length).fill(Number.NaN) } }, VALUE, /NaN/],
  ['a depth of the wrong length', { depth: { ...depth, width: 7 } }, VALUE, /for depth\.data/],
  ['an image scale', { imageCfgScale: 2 }, 'ERR_UNKNOWN_OPTION', /for imageCfgScale/],
  ['a strength of 2', { strength: 2 }, VALUE, /for strength/],
];

test('invalid options of edit and depth2img are rejected, and the models remain usable', async () => {
  await using editing = await load(editArchitecture);
  await using deep = await load(depthArchitecture);
  for (const [what, options, code, message] of BAD_EDITS) {
    await assert.rejects(editing.edit({ ...common, image, ...options } as EditOptions), { code, message }, what);
  }
  for (const [what, options, code, message] of BAD_DEPTHS) {
    const asked = { ...common, image, depth, ...options } as Depth2ImgOptions;
    await assert.rejects(deep.depth2img(asked), { code, message }, what);
  }
  assert.equal((await TASKS.edit(editing)).images.length, 1);
  assert.equal((await TASKS.depth2img(deep)).images.length, 1);
});
