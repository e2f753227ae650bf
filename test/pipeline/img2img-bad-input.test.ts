// Bad images, masks and options through the API: each gives a typed error, and the model lives on.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type InpaintOptions, loadModel, type Model } from '../../lib/index.ts';
import { soundModel } from '../support/bad-models.ts';

let model: Model;
before(async () => {
  model = await loadModel(soundModel(), { threads: 1 });
});
after(() => model.dispose());

const VALUE = 'ERR_INVALID_ARG_VALUE';
const TYPE = 'ERR_INVALID_ARG_TYPE';
const pixels = (width: number, height: number, channels = 3) => ({
  width,
  height,
  data: new Uint8Array(width * height * channels).fill(200),
});
const sound = { prompt: 'x', image: pixels(16, 16), mask: pixels(16, 16, 1), steps: 1 };

type Row = readonly [what: string, options: object, code: string, message: RegExp];

const BAD: readonly Row[] = [
  ['no image', { image: undefined }, TYPE, /the path of an image, .* for image but received undefined/],
  ['an image that is a number', { image: 7 }, TYPE, /for image but received 7/],
  ['an image that is null', { image: null }, TYPE, /for image but received null/],
  ['an image that is a URL', { image: new URL('file:///a.png') }, TYPE, /for image but received a URL/],
  ['an image that is an ArrayBuffer', { image: new ArrayBuffer(8) }, TYPE, /received an ArrayBuffer/],
  ['an empty path', { image: '' }, VALUE, /a path of 1 to 4096 characters for image but received ''/],
  ['a path with a zero byte', { image: 'a\0.png' }, VALUE, /zero byte/],
  ['a path to nothing', { image: '/no/such.png' }, 'ERR_FILE', /\/no\/such\.png/],
  ['bytes that are no image', { image: Buffer.from('hello') }, 'ERR_IMAGE', /PNG, JPEG or WebP/],
  ['an empty buffer', { image: new Uint8Array(0) }, 'ERR_IMAGE', /PNG, JPEG or WebP/],
  [
    'pixels without data',
    { image: { width: 2, height: 2, data: undefined } },
    TYPE,
    /a Uint8Array, .* for image\.data/,
  ],
  [
    'pixels in an array',
    { image: { width: 1, height: 1, data: [1, 2, 3] } },
    TYPE,
    /for image\.data but received an array/,
  ],
  ['pixels as doubles', { image: { width: 1, height: 1, data: new Float64Array(3) } }, TYPE, /a Float64Array/],
  ['pixels of no width', { image: { ...pixels(2, 2), width: 0 } }, VALUE, /for image\.width but received 0/],
  [
    'pixels of half a height',
    { image: { ...pixels(2, 2), height: 1.5 } },
    VALUE,
    /for image\.height but received 1\.5/,
  ],
  ['pixels of a negative width', { image: { ...pixels(2, 2), width: -2 } }, VALUE, /for image\.width/],
  ['pixels of a width that is NaN', { image: { ...pixels(2, 2), width: Number.NaN } }, VALUE, /received NaN/],
  ['pixels of a width as text', { image: { ...pixels(2, 2), width: '2' } }, TYPE, /for image\.width but received '2'/],
  [
    '10 billion pixels',
    { image: { ...pixels(2, 2), width: 1e5, height: 1e5 } },
    VALUE,
    /an integer from 1 to 65536 for image\.width but received 100000/,
  ],
  [
    'pixels too few',
    { image: { ...pixels(2, 2), width: 3 } },
    VALUE,
    /1, 3 or 4 numbers for each of 3 x 2 pixels .* 12 numbers/,
  ],
  ['pixels too many', { image: pixels(2, 2, 5) }, VALUE, /1, 3 or 4 numbers .* 20 numbers/],
  ['no pixels', { image: { ...pixels(2, 2), data: new Uint8Array(0) } }, VALUE, /0 numbers/],
  [
    'pixels that are NaN',
    { image: { width: 8, height: 8, data: new Float32Array(64).fill(Number.NaN) } },
    VALUE,
    /finite numbers from 0 to 1 for image\.data but received NaN at index 0/,
  ],
  ['a strength above 1', { strength: 1.5 }, VALUE, /from 0 to 1 for strength but received 1\.5/],
  ['a negative strength', { strength: -0.1 }, VALUE, /for strength/],
  ['a strength that is NaN', { strength: Number.NaN }, VALUE, /for strength but received NaN/],
  ['a strength as text', { strength: '0.5' }, TYPE, /for strength/],
  [
    'a misspelled resize mode',
    { resizeMode: 'strech' },
    VALUE,
    /one of fill, fit, stretch, none .*Did you mean 'stretch'\?/,
  ],
  ['a width of 20', { width: 20 }, VALUE, /multiple of 8 for width but received 20\. The nearest are 16 and 24/],
  [
    'a size that is no multiple of 8 and may not change',
    { image: pixels(15, 16), resizeMode: 'none' },
    VALUE,
    /an image of 8 x 16, since it may not be resized, for image but received 15 x 16/,
  ],
  ['another size where none may be', { width: 32, resizeMode: 'none' }, VALUE, /an image of 32 x 32/],
  ['an image too large to generate', { image: pixels(16392, 8, 1) }, VALUE, /at most 16384 pixels a side .* 16392 x 8/],
  [
    'a batch too large to generate',
    { image: pixels(2048, 1024, 1), batchSize: 64 },
    VALUE,
    /at most 67108864 pixels in all/,
  ],
  [
    'a side that makes the other too long',
    { image: pixels(8, 4000, 1), width: 64 },
    VALUE,
    /at most 16384 pixels a side/,
  ],
];

const BAD_MASKS: readonly Row[] = [
  ['no mask', { mask: undefined }, TYPE, /the path of an image, .* for mask but received undefined/],
  ['a mask that is no image', { mask: Buffer.from('hello') }, 'ERR_IMAGE', /the bytes of mask/],
  ['a mask of the wrong length', { mask: { ...pixels(2, 2), width: 3 } }, VALUE, /for mask\.data/],
  [
    'a black mask',
    { mask: { ...pixels(16, 16, 1), data: new Uint8Array(256) } },
    VALUE,
    /a part to regenerate.*inverted mask/,
  ],
  [
    'a white mask that is inverted',
    { mask: { ...pixels(16, 16, 1), data: new Uint8Array(256).fill(255) }, invertMask: true },
    VALUE,
    /a part to regenerate/,
  ],
  [
    'a black mask and a padding',
    { mask: { ...pixels(16, 16, 1), data: new Uint8Array(256) }, paddingMaskCrop: 4 },
    VALUE,
    /a part to regenerate/,
  ],
  [
    'a mask of dark gray',
    { mask: { ...pixels(16, 16, 1), data: new Uint8Array(256).fill(100) } },
    VALUE,
    /a part to regenerate/,
  ],
  [
    'a transparent mask',
    { mask: { ...pixels(16, 16, 4), data: new Uint8Array(1024).map((_, i) => (i % 4 === 3 ? 0 : 255)) } },
    VALUE,
    /a part to regenerate/,
  ],
  ['a blur of 1000', { maskBlur: 1000 }, VALUE, /from 0 to 64 for maskBlur/],
  ['a negative blur', { maskBlur: -1 }, VALUE, /for maskBlur/],
  ['a padding of half a pixel', { paddingMaskCrop: 0.5 }, VALUE, /an integer .* for paddingMaskCrop/],
  ['a negative padding', { paddingMaskCrop: -1 }, VALUE, /for paddingMaskCrop/],
  ['an unknown content', { maskedContent: 'blur' }, VALUE, /one of original, fill, noise, nothing for maskedContent/],
  ['an inversion as text', { invertMask: 'yes' }, TYPE, /true or false for invertMask/],
  ['a misspelled option', { maskBlurr: 3 }, 'ERR_UNKNOWN_OPTION', /Did you mean 'maskBlur'\?/],
];

for (const [what, options, code, message] of BAD) {
  test(`img2img with ${what} is refused`, async () => {
    const { mask: _, ...image } = sound;
    await assert.rejects(model.img2img({ ...image, ...options } as InpaintOptions), { code, message });
  });
}
for (const [what, options, code, message] of [...BAD, ...BAD_MASKS]) {
  test(`inpaint with ${what} is refused`, async () => {
    await assert.rejects(model.inpaint({ ...sound, ...options } as InpaintOptions), { code, message });
  });
}

test('all problems of a call are reported in one error', async () => {
  const options = { image: 7, mask: { width: 1, height: 1, data: 'x' }, strength: 2, maskBlur: -1, prompt: 3, foo: 1 };
  await assert.rejects(model.inpaint(options as never), (error: Error & { problems: { name: string }[] }) => {
    const names = error.problems.map(({ name }) => name).sort();
    assert.deepEqual(names, ['foo', 'image', 'mask.data', 'maskBlur', 'prompt', 'strength']);
    return error instanceof TypeError;
  });
});

test('a mask belongs to inpaint alone', async () => {
  await assert.rejects(model.img2img(sound as never), { code: 'ERR_UNKNOWN_OPTION', message: /for mask/ });
  await assert.rejects(model.txt2img({ prompt: 'x', image: sound.image } as never), { code: 'ERR_UNKNOWN_OPTION' });
});

test('the model remains usable after all this', async () => {
  assert.equal((await model.inpaint(sound)).images.length, 1);
});
