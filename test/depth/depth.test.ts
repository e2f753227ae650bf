// Estimating depth through the API: the way of images into and out of the network as in transformers and torch (goldens of
// test/reference/depth.py), depth maps as images, and what is refused.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { resizeNearness } from '../../lib/depth/latent-depth.ts';
import { networkSize } from '../../lib/depth/network-size.ts';
import { readImage } from '../../lib/image/input.ts';
import { cubic, resample } from '../../lib/image/resample.ts';
import {
  type ControlOptions,
  type DepthEstimator,
  DepthMap,
  type EstimateDepthOptions,
  estimateDepth,
  loadDepthEstimator,
  loadModel,
} from '../../lib/index.ts';
import { assertClose } from '../support/compare.ts';
import { goldenTensors } from '../support/golden.ts';
import { depthArchitecture } from '../support/tiny-architectures.ts';
import { tinyControlNet } from '../support/tiny-control-net.ts';
import { tinyDepthModel, tinyDpt } from '../support/tiny-depth.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import { tinyRrdbNet, writeUpscaler } from '../support/tiny-upscalers.ts';

const goldens = goldenTensors('depth.safetensors');
const valuesOf = (name: string) => goldens.get(name)?.values as Float32Array;
const image = { width: 90, height: 70, data: Uint8Array.from(valuesOf('image')) };
const computing = { device: 'cpu', threads: 1, precision: 'f32' } as const;

let path: string;
let estimator: DepthEstimator;
before(async () => {
  path = writeUpscaler(tinyDpt({ hybrid: true }));
  estimator = await loadDepthEstimator(path, computing);
});
after(() => estimator.dispose());

test('images come to the size of the network as in MiDaS and transformers', () => {
  const rows = [
    [512, 512, 384, 384],
    [768, 512, 576, 384],
    [640, 480, 512, 384],
    [100, 100, 384, 384],
    [1920, 1080, 672, 384],
    [480, 640, 384, 512],
    [384, 400, 384, 384], // 12.5 multiples, a half goes to the even number
    [384, 432, 384, 448],
    [1, 1, 384, 384],
  ] as const;
  for (const [width, height, expectedWidth, expectedHeight] of rows) {
    const size = networkSize({ width, height }, 384, 32);
    assert.deepEqual(size, { width: expectedWidth, height: expectedHeight }, `${width}x${height}`);
  }
  for (const [width, height] of [
    [20, 16384],
    [16384, 1],
    [60000, 300],
    [1, 67108864],
  ] as const) {
    const size = networkSize({ width, height }, 384, 32);
    assert.ok(size.width >= 32 && size.height >= 32 && size.width % 32 === 0 && size.height % 32 === 0);
    assert.ok(size.width * size.height <= 32 * 384 * 384, `${width}x${height}`);
  }
});

test('images are resized for the network as by Pillow, within a level', async () => {
  const whole = { x: 0, y: 0, width: image.width, height: image.height };
  const resized = await resample({ ...image, channels: 3 }, whole, 96, 64, cubic);
  const theirs = valuesOf('image at network size');
  assert.ok(resized.data.every((value, i) => Math.abs(value - (theirs[i] as number)) <= 1));
});

test('what the network gives is resized as by torch', async () => {
  const numbers = { width: 20, height: 12, data: valuesOf('numbers') };
  for (const [width, height] of [
    [50, 31],
    [9, 5],
  ] as const) {
    const { data } = await resizeNearness(numbers, width, height);
    assertClose(data, valuesOf(`numbers at ${width}x${height}`), 1e-5);
  }
});

test('an image has the depth that transformers estimates', async () => {
  const { architecture, side, device } = estimator.info;
  assert.deepEqual([architecture, side, device], ['dpt-hybrid', 64, 'cpu']);
  const small = { width: 96, height: 64, data: Uint8Array.from(valuesOf('image at network size')) };
  const depth = await estimator.estimate(small);
  assert.ok(depth instanceof DepthMap);
  assertClose(depth.data, valuesOf('depth of image'), 1e-3);
  const ofAnother = await estimator.estimate(image);
  assert.deepEqual([ofAnother.width, ofAnother.height, ofAnother.data.length], [90, 70, 6300]);
  const again = await estimateDepth(small, { model: path, ...computing });
  assert.deepEqual(again.data, depth.data);
});

test('a depth map is an image of 8 bits and a file of 16, white where it is near', async () => {
  const depth = new DepthMap({ width: 3, height: 2, data: Float32Array.of(5, 6, 7, 5.5, 9, 5) });
  const { data, width, height } = await depth.image();
  assert.deepEqual([width, height], [3, 2]);
  assert.deepEqual(
    data.filter((_, i) => i % 3 === 0),
    Uint8Array.of(0, 64, 128, 32, 255, 0),
  );
  const png = await depth.png();
  assert.deepEqual([png[24], png[25]], [16, 0], 'bit depth and colour type');
  const read = await readImage(png, 'image');
  assert.deepEqual(
    read.data.filter((_, i) => i % 4 === 1),
    Uint8Array.of(0, 64, 128, 32, 255, 0),
  );
  const flat = new DepthMap({ width: 2, height: 1, data: Float32Array.of(3, 3) });
  assert.deepEqual((await flat.image()).data, new Uint8Array(6));
});

test('a depth model estimates depth with its own network, or with the given one', async () => {
  const common = { prompt: 'x', steps: 1, seed: 1, image, width: 16, height: 16 } as const;
  const plain = tinyModel({ architecture: depthArchitecture, vocabulary: 49408 }).path;
  await using own = await loadModel(tinyDepthModel(49408), computing);
  await using given = await loadModel({ model: plain, depthModel: path }, computing);
  await using none = await loadModel(plain, computing);
  const { images } = await own.depth2img(common);
  assert.deepEqual((await given.depth2img(common)).images[0]?.data, images[0]?.data);
  for (let i = 0; i < 2; i++) {
    await assert.rejects(none.depth2img(common), { code: 'ERR_MODEL_INCOMPLETE', message: /Give the depth itself/ });
  }
  const depth = await estimator.estimate(image);
  const withMap = await none.depth2img({ ...common, depth });
  assert.equal(withMap.images.length, 1);
  await using wrong = await loadModel({ model: plain, depthModel: plain }, computing);
  await assert.rejects(wrong.depth2img(common), { code: 'ERR_MODEL_UNSUPPORTED' });
  await using missing = await loadModel({ model: plain, depthModel: '/no/such.pt' }, computing);
  await assert.rejects(missing.depth2img(common), { code: 'ERR_FILE', message: /\/no\/such\.pt/ });
});

test('a control is shown the depth of its image', async () => {
  const control = { model: tinyControlNet({}), image } as const;
  const plain = tinyModel({ vocabulary: 49408 }).path;
  await using model = await loadModel({ model: plain, depthModel: path }, computing);
  const generate = async (controls: readonly ControlOptions[]) =>
    (await model.txt2img({ prompt: 'x', steps: 1, seed: 1, width: 96, height: 64, controls })).images[0]?.data;
  const small = { width: 96, height: 64, data: Uint8Array.from(valuesOf('image at network size')) };
  const depth = await (await estimator.estimate(small)).image();
  const estimated = await generate([{ ...control, image: small, preprocessor: 'depth' }]);
  assert.deepEqual(estimated, await generate([{ ...control, image: depth }]));
  assert.notDeepEqual(estimated, await generate([{ ...control, image: small }]));
  await using none = await loadModel(plain, computing);
  const asked = none.txt2img({ prompt: 'x', steps: 1, controls: [{ ...control, preprocessor: 'depth' }] });
  await assert.rejects(asked, { code: 'ERR_MODEL_INCOMPLETE', message: /depthModel/ });
});

test('a model is disposed of while it estimates', async () => {
  const model = await loadModel(tinyDepthModel(49408), computing);
  const run = model.depth2img({ prompt: 'x', steps: 1, image });
  const ended = assert.rejects(run, { code: 'ERR_DISPOSED' });
  await model.dispose();
  await ended;
});

const TYPE = 'ERR_INVALID_ARG_TYPE';
const VALUE = 'ERR_INVALID_ARG_VALUE';
const BAD: readonly (readonly [what: string, image: unknown, options: object, code: string, message: RegExp])[] = [
  ['no image', undefined, {}, TYPE, /for image but received undefined/],
  ['an image that is a number', 7, {}, TYPE, /for image but received 7/],
  ['bytes that are no image', Buffer.from('hello'), {}, 'ERR_IMAGE', /PNG, JPEG or WebP/],
  ['an image that is missing', '/no/such.png', {}, 'ERR_FILE', /\/no\/such\.png/],
  ['no model', image, { model: undefined }, TYPE, /for model but received undefined/],
  ['an empty path', image, { model: '' }, VALUE, /for model/],
  ['a model that is missing', image, { model: '/no/such.pt' }, 'ERR_FILE', /\/no\/such\.pt/],
  [
    'a model that is an image',
    image,
    { model: join('docs', 'images', 'from-an-image.png') },
    'ERR_MODEL_UNSUPPORTED',
    /./,
  ],
  ['an unknown device', image, { device: 'gpu9' }, VALUE, /for device/],
  ['no threads', image, { threads: 0 }, VALUE, /for threads/],
  ['an option of other calls', image, { prediction: 'v' }, 'ERR_UNKNOWN_OPTION', /prediction/],
  ['a signal that is none', image, { signal: 3 }, TYPE, /an AbortSignal/],
];

test('bad images, models and options are refused', async () => {
  const upscaler = writeUpscaler(tinyRrdbNet({ blocks: 1 }));
  const rows = [
    ...BAD,
    ['an upscaler', image, { model: upscaler }, 'ERR_MODEL_UNSUPPORTED', /is an upscaler/] as const,
  ];
  for (const [what, image, options, code, message] of rows) {
    const asked = { model: path, ...computing, ...options } as EstimateDepthOptions;
    await assert.rejects(estimateDepth(image as string, asked), (error: Error & { code: string }) => {
      assert.equal(error.code, code, `${what}: ${error.message}`);
      assert.match(error.message, message, what);
      return true;
    });
  }
  for (const options of [undefined, null, 'x'] as unknown as EstimateDepthOptions[]) {
    await assert.rejects(estimateDepth(image, options), { code: TYPE });
  }
});

test('a call is cancelled, and an estimator that was disposed of says so', async () => {
  const other = await loadDepthEstimator(path, computing);
  const reason = new Error('enough');
  await assert.rejects(other.estimate(image, { signal: AbortSignal.abort(reason) }), reason);
  const waiting = other.estimate(image);
  const ended = assert.rejects(waiting, { code: 'ERR_DISPOSED' });
  await other.dispose();
  await ended;
  await assert.rejects(other.estimate(image), { code: 'ERR_DISPOSED' });
  await other.dispose();
  const folder = join(temporaryFolder(), 'no-network');
  await mkdir(folder);
  await assert.rejects(loadDepthEstimator(folder), { code: 'ERR_FILE' });
});
