// Images of small models of Stable Diffusion 2 and XL against those of diffusers' pipelines: the same weights, prompts and noise.
// The goldens come from test/reference/families.py. Then what these models are conditioned with besides.

import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { type ArgumentError, type LoadOptions, loadModel, type Txt2ImgOptions } from '../../lib/index.ts';
import { psnr } from '../support/compare.ts';
import { golden } from '../support/golden.ts';
import {
  lcmArchitecture,
  refinerArchitecture,
  sd2Architecture,
  type TinyModelArchitecture,
  xlArchitecture,
} from '../support/tiny-architectures.ts';
import { type TinyModelOptions, tinyModel } from '../support/tiny-model.ts';

type Edit = NonNullable<TinyModelOptions['edit']>;

type Image = Txt2ImgOptions & {
  model: 'sd2' | 'xl';
  prediction: 'epsilon' | 'v';
  /** Base64 of `[height, width, 3]` bytes. */
  image: string;
};

const COMMON = { sampler: 'euler', scheduler: 'discrete', rng: 'cpu' } as const;
const ARCHITECTURES = { sd2: sd2Architecture, xl: xlArchitecture };

const load = (architecture: TinyModelArchitecture, options: LoadOptions = {}) =>
  loadModel(tinyModel({ architecture, vocabulary: 49408 }).path, {
    device: 'cpu',
    threads: 1,
    precision: 'f32',
    ...options,
  });

describe('txt2img generates the images of diffusers', () => {
  for (const { image, model: name, prediction, ...options } of golden<Image[]>('families.json')) {
    const sizes = options.originalSize ? ', other sizes' : '';
    it(`${name}, negative prompt '${options.negativePrompt}', predicting ${prediction}${sizes}`, async () => {
      await using model = await load(ARCHITECTURES[name], { prediction });
      const { images } = await model.txt2img({ ...options, ...COMMON });
      const decibels = psnr((images[0] as { data: Uint8Array }).data, Buffer.from(image, 'base64'), 255);
      assert.ok(decibels >= 50, `at least 50 dB were expected, it has ${decibels.toFixed(1)}`);
    });
  }
});

const DEFAULTS = { prompt: 'a red apple', width: 16, height: 16, steps: 2, seed: 1, ...COMMON } as const;

async function generate(
  architecture: TinyModelArchitecture,
  variants: Partial<Txt2ImgOptions>[],
): Promise<Uint8Array[]> {
  await using model = await load(architecture);
  const generated: Uint8Array[] = [];
  for (const variant of variants) {
    const { images } = await model.txt2img({ ...DEFAULTS, ...variant });
    generated.push((images[0] as { data: Uint8Array }).data);
  }
  return generated;
}

test('the refiner of SDXL heeds sizes and scores', async () => {
  const [plain, sized, scored, negative] = await generate(refinerArchitecture, [
    {},
    { originalSize: { width: 4000, height: 3000 } },
    { aestheticScore: 1 },
    { negativeAestheticScore: 9 },
  ]);
  for (const other of [sized, scored, negative]) assert.notDeepEqual(other, plain);
});

test('conditioning that a model does not use is rejected, not ignored', async () => {
  const conditioning = {
    originalSize: { width: 10, height: 10 },
    cropTopLeft: { top: 1, left: 0 },
    targetSize: { width: 10, height: 10 },
    aestheticScore: 7,
    negativeAestheticScore: 1,
  };
  const refused = async (architecture: TinyModelArchitecture) => {
    await using model = await load(architecture);
    const problems = await Promise.all(
      Object.entries(conditioning).map(async ([name, value]) => {
        const run = model.txt2img({ ...DEFAULTS, [name]: value });
        return run.then(
          () => [],
          (error: unknown) => (error as ArgumentError).problems.flatMap(({ code, name }) => [code, name]),
        );
      }),
    );
    return problems.flat();
  };
  const code = 'ERR_INVALID_ARG_VALUE';
  assert.deepEqual(
    await refused(sd2Architecture),
    Object.keys(conditioning).flatMap((name) => [code, name]),
  );
  assert.deepEqual(await refused(xlArchitecture), [code, 'aestheticScore', code, 'negativeAestheticScore']);
  assert.deepEqual(await refused(refinerArchitecture), [code, 'targetSize']);
});

test('a UNet that takes the guidance scale as an input is evaluated without a negative prompt', async () => {
  const [plain, negative, stronger] = await generate(lcmArchitecture, [
    { cfgScale: 2 },
    { cfgScale: 2, negativePrompt: 'blurry' },
    { cfgScale: 9 },
  ]);
  assert.deepEqual(negative, plain);
  assert.notDeepEqual(stronger, plain);
});

test('the layer of the text encoder is by default the one that a family was trained with', async () => {
  const [plain, last, penultimate] = await generate(sd2Architecture, [{}, { clipSkip: 1 }, { clipSkip: 2 }]);
  assert.deepEqual(penultimate, plain);
  assert.notDeepEqual(last, plain);
});

test('a long prompt gives SDXL several chunks', async () => {
  const [short, long] = await generate(xlArchitecture, [{}, { prompt: 'a red apple on a table '.repeat(20) }]);
  assert.notDeepEqual(long, short);
});

test('wrong sizes and scores are refused under their names', async () => {
  await using model = await load(xlArchitecture);
  const bad = [
    [{ originalSize: 1024 }, 'originalSize'],
    [{ originalSize: { width: 10 } }, 'originalSize.height'],
    [{ targetSize: { width: -1, height: 10 } }, 'targetSize.width'],
    [{ cropTopLeft: { top: 0.5, left: 0 } }, 'cropTopLeft.top'],
    [{ cropTopLeft: { top: 0, left: 0, right: 0 } }, 'cropTopLeft.right'],
    [{ aestheticScore: 11 }, 'aestheticScore'],
  ] as const;
  for (const [options, name] of bad) {
    const wrong = { ...DEFAULTS, ...options } as unknown as Txt2ImgOptions;
    await assert.rejects(model.txt2img(wrong), (error: Error) => error.message.includes(name), name);
  }
});

test('what a UNet predicts is read off its weights and marks', async () => {
  const spread: Edit = (tensors) =>
    tensors.map((tensor) =>
      /output_blocks\.3\.1\.transformer_blocks\.0\.norm1\.bias$/.test(tensor.name)
        ? { ...tensor, values: tensor.values.map((_, i) => (i % 2 ? 0.2 : -0.2)) }
        : tensor,
    );
  const mark: Edit = (tensors) => [
    ...tensors,
    { name: 'v_pred', dtype: 'f32', shape: [0], values: new Float32Array() },
  ];
  const rows: readonly [TinyModelArchitecture, Edit | undefined, Record<string, string>, string][] = [
    [sd2Architecture, undefined, {}, 'epsilon'],
    [sd2Architecture, spread, {}, 'v'],
    [sd2Architecture, spread, { 'modelspec.prediction_type': 'epsilon' }, 'epsilon'],
    [xlArchitecture, undefined, {}, 'epsilon'],
    [xlArchitecture, mark, {}, 'v'],
  ];
  for (const [architecture, edit, metadata, expected] of rows) {
    const { path } = tinyModel({ architecture, vocabulary: 49408, metadata, ...(edit && { edit }) });
    await using model = await loadModel(path, { device: 'cpu', threads: 1 });
    assert.equal(model.info.prediction, expected);
  }
});
