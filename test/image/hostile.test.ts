// Images that are built to take the machine: small files of many pixels, of many chunks, of much that is packed.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { eachRow } from '../../lib/async/slices.ts';
import { readImage } from '../../lib/image/input.ts';
import { toRgb } from '../../lib/image/pixels.ts';
import { resample, triangle } from '../../lib/image/resample.ts';
import { canny, type ImageInput, readMetadata } from '../../lib/index.ts';
import { bestBelow, longestBlock } from '../support/event-loop.ts';
import { moduleUrl } from '../support/places.ts';
import { blank, chunk, header, pngOf, times } from '../support/png.ts';

/** A file of one pixel. */
const one = (...chunks: Buffer[]): Buffer => pngOf(header(1, 1), ...chunks, blank(4));
const bomb = deflateSync(Buffer.alloc(1e8), { level: 9 });
const packed = (name: 'zTXt' | 'iTXt' | 'iCCP', keyword: string): Buffer =>
  chunk(name, Buffer.concat([Buffer.from(`${keyword}\0${name === 'iTXt' ? '\x01\0\0\0' : '\0'}`), bomb]));
const parameters = chunk('tEXt', 'parameters\0a cat');

test('an image of more pixels than are asked for is refused by its header, whatever its format', async () => {
  const flat = sharp({ create: { width: 101, height: 100, channels: 3, background: 'red' } });
  const files: Record<string, ImageInput> = {
    PNG: pngOf(header(101, 100), blank(100 * 304)),
    JPEG: await flat.clone().jpeg().toBuffer(),
    WebP: await flat.clone().webp().toBuffer(),
  };
  for (const [format, bytes] of Object.entries(files)) {
    await assert.rejects(readImage(bytes, 'image', 10_000), {
      code: 'ERR_IMAGE',
      message: /1 to 10000 pixels .* says it has 101 x 100\. Allow more with maxPixels/,
    });
    assert.equal((await readImage(bytes, 'image', 10_100)).width, 101, format);
    await assert.rejects(canny(bytes, { maxPixels: 10_000 }), { code: 'ERR_IMAGE', message: /maxPixels/ });
  }
  await assert.rejects(canny({ width: 101, height: 100, data: new Uint8Array(10_100) }, { maxPixels: 10_000 }), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /at most 10000 pixels \(maxPixels\) for image but received 101 x 100/,
  });
});

test('an image of one endless row or column is refused by its header', async () => {
  for (const [width, height] of [
    [2 ** 25, 1],
    [1, 2 ** 25],
    [65_537, 1],
  ] as const) {
    await assert.rejects(readImage(pngOf(header(width, height, 1, 0), blank(8)), 'image'), {
      code: 'ERR_IMAGE',
      message: /at most 65536 a side/,
    });
  }
});

test('a limit of pixels that is none is refused', async () => {
  for (const maxPixels of [0, -1, 0.5, Number.NaN, 2 ** 26 + 1, '1']) {
    await assert.rejects(canny(one(), { maxPixels: maxPixels as number }), {
      code: /^ERR_INVALID_ARG/,
      message: /from 1 to 67108864 for options\.maxPixels/,
    });
  }
});

test('what is packed in an image and not asked for stays packed', async () => {
  // Unpacked they are 20 GB.
  const others = Array.from({ length: 200 }, (_, i) => packed(i % 2 ? 'zTXt' : 'iTXt', `other ${i}`));
  const started = performance.now();
  const file = pngOf(header(1, 1), packed('iCCP', 'profile'), ...others, parameters, blank(4));
  assert.equal((await readMetadata(file)).prompt, 'a cat');
  assert.equal((await readImage(file, 'image')).data.length, 4);
  assert.ok(performance.now() - started < 10_000);
});

test('text that is asked for is unpacked up to a limit', async () => {
  for (const name of ['zTXt', 'iTXt'] as const) {
    await assert.rejects(readMetadata(one(packed(name, 'parameters'))), {
      code: 'ERR_IMAGE',
      message: /at most 524288 bytes of text but the given buffer has more/,
    });
  }
  const long = chunk('tEXt', Buffer.concat([Buffer.from('parameters\0'), Buffer.alloc(2 ** 19 + 1, 'a')]));
  await assert.rejects(readMetadata(one(long)), { code: 'ERR_IMAGE', message: /at most 524288 bytes of text/ });
});

test('pixels beyond those of the header are never unpacked', async () => {
  await assert.rejects(readImage(pngOf(header(1, 1), chunk('IDAT', bomb)), 'image'), {
    code: 'ERR_IMAGE',
    message: /it has more than 4 bytes of pixels/,
  });
});

const pixelOf = deflateSync(Buffer.from([0, 1, 2, 3]));
/** Files of up to 10 MB whose size is in their chunks; all have the pixel (1, 2, 3). */
const MANY: Record<string, Buffer> = {
  'chunks without data': pngOf(header(1, 1), times(100_000, chunk('abCd')), chunk('IDAT', pixelOf)),
  'pixels without data': pngOf(header(1, 1), chunk('IDAT', pixelOf), times(100_000, chunk('IDAT'))),
  'pixels in chunks of one byte': pngOf(header(1, 1), ...Array.from(pixelOf, (byte) => chunk('IDAT', Buffer.of(byte)))),
  palettes: pngOf(header(1, 1), times(80_000, chunk('PLTE', Buffer.alloc(3))), chunk('IDAT', pixelOf)),
  texts: pngOf(header(1, 1), times(80_000, chunk('tEXt', 'a\0')), chunk('IDAT', pixelOf)),
  'a frame of an animation': pngOf(header(1, 1), chunk('IDAT', pixelOf), times(60_000, chunk('fdAT', Buffer.alloc(8)))),
  'a large EXIF': pngOf(header(1, 1), chunk('eXIf', Buffer.alloc(9e6)), chunk('IDAT', pixelOf)),
};

for (const [what, file] of Object.entries(MANY)) {
  test(`an image with ${what} in great number or size is read, and the event loop has its turn`, async () => {
    const block = await bestBelow(50, async () => {
      const reading = readImage(file, 'image');
      const longest = await longestBlock(reading);
      assert.deepEqual([...(await reading).data], [1, 2, 3, 255]);
      return longest;
    });
    assert.ok(block < 50, `blocked for ${block} ms`);
    const searching = bestBelow(50, () =>
      longestBlock(readMetadata(file).catch(({ code }) => assert.equal(code, 'ERR_IMAGE'))),
    );
    assert.ok((await searching) < 50);
  });
}

const jpegOf = (one: Buffer, count: number): Buffer => Buffer.concat([Buffer.from([0xff, 0xd8]), times(count, one)]);
/** Files of up to 10 MB of other formats, without anything that says how they were made. */
const WITHOUT_TEXT: Record<string, Buffer> = {
  'a JPEG of segments without data': jpegOf(Buffer.from([0xff, 0xe5, 0, 3, 0]), 1e6),
  'a JPEG of bytes that fill': jpegOf(Buffer.from([0xff]), 9e6),
  'a WebP of chunks without data': Buffer.concat([
    Buffer.from('RIFF    WEBP'),
    times(1e6, Buffer.from('abcd\0\0\0\0')),
  ]),
};

for (const [what, file] of Object.entries(WITHOUT_TEXT)) {
  test(`how ${what} was made is looked for, and the event loop has its turn`, async () => {
    const reading = () => assert.rejects(readMetadata(file), { code: 'ERR_IMAGE', message: /no text that says/ });
    const block = await bestBelow(50, () => longestBlock(reading()));
    assert.ok(block < 50, `blocked for ${block} ms`);
  });
}

test('a text that is too long hides none that comes before it', async () => {
  const long = chunk('tEXt', Buffer.concat([Buffer.from('prompt\0'), Buffer.alloc(2 ** 20, '{')]));
  assert.equal((await readMetadata(one(long, parameters))).prompt, 'a cat');
});

/** Most pixels in least bytes: depth, colour type, interlacing, and bytes of all rows of 65536 x 512. */
const LARGE: Record<string, Buffer> = {
  'gray of one bit': pngOf(header(65_536, 512, 1, 0), blank(512 * (1 + 8192))),
  'RGBA of 16 bits': pngOf(header(65_536, 512, 16, 6), blank(512 * (1 + 8 * 65_536))),
  'a palette, interlaced': pngOf(
    header(65_536, 512, 8, 3, 1),
    chunk('PLTE', Buffer.alloc(3)),
    blank(960 + 65_536 * 512),
  ),
};

for (const [what, file] of Object.entries(LARGE)) {
  test(`the largest image in ${what} takes less than 512 MB, and the event loop has its turn`, {
    skip: process.platform !== 'linux',
  }, () => {
    const script = `
      import { readFileSync } from 'node:fs';
      import { readImage } from '${moduleUrl('lib/image/input.ts')}';
      import { toRgb } from '${moduleUrl('lib/image/pixels.ts')}';
      import { bestBelow, longestBlock } from '${moduleUrl('test/support/event-loop.ts')}';
      const file = readFileSync(0);
      const block = await bestBelow(50, () => longestBlock(readImage(file, 'image').then(toRgb)));
      console.log(block, /VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1] / 1024);`;
    assert.ok(file.length < 1e6);
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { input: file, encoding: 'utf8' });
    const [block, megabytes] = child.stdout.split(' ').map(Number) as [number, number];
    assert.ok(block < 50, `blocked for ${block} ms ${child.stderr}`);
    assert.ok(megabytes < 512, `took ${megabytes} MB`);
  });
}

test('a long and narrow image is brought to the opposite shape in memory of its size', async () => {
  // Every column of every row at once would be 65536 x 65536 numbers.
  const tall = { width: 2, height: 65_536, channels: 1, data: new Uint8Array(2 ** 17).fill(7) } as const;
  const wide = await resample(tall, { x: 0, y: 0, width: 2, height: 65_536 }, 65_536, 2, triangle);
  assert.ok(wide.data.length === 2 ** 17 && wide.data.every((value) => value === 7));
  const back = await resample(wide, { x: 0, y: 0, width: 65_536, height: 2 }, 2, 65_536, triangle);
  assert.ok(back.data.length === 2 ** 17 && back.data.every((value) => value === 7));
});

test('pieces of work that go on at the same time share the turns of the event loop', async () => {
  const busy = () => {
    for (const start = performance.now(); performance.now() - start < 1; );
  };
  const block = await bestBelow(50, () =>
    longestBlock(Promise.all(Array.from({ length: 40 }, () => eachRow(8, busy)))),
  );
  assert.ok(block < 50, `blocked for ${block} ms`);
});

test('a damaged image is refused, and the process lives, however long its reading is interrupted', async (context) => {
  // Every look at the clock finds that the turn is over.
  let time = performance.now();
  context.mock.method(performance, 'now', () => {
    time += 1000;
    return time;
  });
  const damaged = pngOf(header(64, 64), chunk('IDAT', Buffer.from('7801ffffffffffffffff', 'hex')));
  await assert.rejects(readImage(damaged, 'image'), { code: 'ERR_IMAGE' });
  assert.equal((await readImage(pngOf(header(64, 64), blank(64 * 193)), 'image')).width, 64);
});

test('all that is in memory is bounded alike', async () => {
  const wide = { width: 65_537, height: 1, data: new Uint8Array(65_537) };
  await assert.rejects(canny(wide), { code: 'ERR_INVALID_ARG_VALUE', message: /from 1 to 65536 for image\.width/ });
  const large = { width: 8192, height: 4097, data: new Uint8Array(8192 * 4097) };
  await assert.rejects(canny(large), { code: 'ERR_INVALID_ARG_VALUE', message: /at most 33554432 pixels/ });
  assert.equal((await toRgb(await readImage(one(), 'image'))).data.length, 3);
});
