// Canny's edges against OpenCV's; the goldens come from test/reference/control.py.

import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { canny } from '../../lib/index.ts';
import { bestBelow, longestBlock } from '../support/event-loop.ts';
import { golden } from '../support/golden.ts';

interface Goldens {
  width: number;
  height: number;
  /** Base64 of `[height, width, 3]` bytes. */
  data: string;
  /** Base64 of one bit a pixel, the highest first. */
  found: { low: number; high: number; edges: string }[];
}

const { canny: goldens } = golden<{ canny: Goldens }>('control.json');
const { width, height, found } = goldens;
const image = { width, height, data: new Uint8Array(Buffer.from(goldens.data, 'base64')) };

const white = (data: Uint8Array) => data.reduce((count, value) => count + (value === 255 ? 1 : 0), 0) / 3;

describe("edges are OpenCV's, pixel for pixel", () => {
  for (const { low, high, edges } of found) {
    it(`thresholds ${low} and ${high}`, async () => {
      const bits = Buffer.from(edges, 'base64');
      const expected = Uint8Array.from({ length: 3 * width * height }, (_, i) => {
        const pixel = Math.floor(i / 3);
        return ((bits[pixel >> 3] as number) >> (7 - (pixel & 7))) & 1 ? 255 : 0;
      });
      const found = await canny(image, { low, high });
      assert.deepEqual([found.width, found.height], [width, height]);
      assert.deepEqual(found.data, expected);
    });
  }
});

test('the thresholds are 100 and 200 unless others are given, and a blur leaves fewer edges', async () => {
  const edges = await canny(image);
  assert.deepEqual((await canny(image, { low: 100, high: 200 })).data, edges.data);
  assert.deepEqual((await canny(image, { low: 150 })).data, (await canny(image, { low: 150, high: 200 })).data);
  const blurred = white((await canny(image, { blur: 1.4 })).data);
  assert.ok(blurred > 0 && blurred < white(edges.data));
});

test('images of one pixel or one row have no edges, and a flat one neither', async () => {
  for (const [columns, rows] of [
    [1, 1],
    [9, 1],
    [1, 9],
    [7, 5],
  ] as const) {
    const flat = { width: columns, height: rows, data: new Uint8Array(3 * columns * rows).fill(90) };
    assert.equal(white((await canny(flat, { low: 0, high: 0 })).data), 0);
  }
});

test('the event loop has its turn while edges are sought', async () => {
  const side = 1024;
  const noise = new Uint8Array(3 * side * side).map((_, i) => (i * 2654435761) >>> 24);
  await bestBelow(10, () => longestBlock(canny({ width: side, height: side, data: noise }, { low: 0, high: 2000 })));
});

const WRONG: Record<string, [image: unknown, options: unknown, message: RegExp]> = {
  'no image': [undefined, {}, /image.*for image/],
  'a threshold below 0': [image, { low: -1 }, /options\.low.*-1/],
  'a threshold beyond all gradients': [image, { high: 2041 }, /from 0 to 2040 for options\.high/],
  'thresholds the wrong way round': [
    image,
    { low: 200, high: 100 },
    /at most the high threshold, 100, for options\.low/,
  ],
  'a threshold that is NaN': [image, { low: Number.NaN }, /options\.low but received NaN/],
  'a blur as text': [image, { blur: '2' }, /options\.blur/],
  'an unknown option': [image, { sigma: 1 }, /options\.sigma/],
  'options that are a number': [image, 7, /an object \{ low, high, blur, maxPixels \}/],
};

describe('wrong arguments are refused', () => {
  for (const [name, [image, options, message]] of Object.entries(WRONG)) {
    it(name, () => assert.rejects(canny(image as never, options as never), { code: /^ERR_/, message }));
  }
  it('bytes that are no image', () =>
    assert.rejects(canny(new Uint8Array(20)), { name: 'DiffusionError', code: 'ERR_IMAGE' }));
});
