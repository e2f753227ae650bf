// Images that users give: every format and form of pixels, and whatever is none.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import encodeChunks from 'png-chunks-encode';
import extractChunks from 'png-chunks-extract';
import { PNG } from 'pngjs';
import sharp from 'sharp';
import { type ImageInput, readImage } from '../../lib/image/input.ts';
import { type Pixels, toGray, toRgb } from '../../lib/image/pixels.ts';
import { bestBelow, longestBlock } from '../support/event-loop.ts';
import { moduleUrl } from '../support/places.ts';
import { temporaryFolder } from '../support/tiny-model.ts';

const read = (input: ImageInput): Promise<Pixels> => readImage(input, 'image');

/** Six pixels in two rows of three, all different and not gray. */
const [width, height] = [3, 2];
const rgba = Uint8Array.from({ length: 24 }, (_, i) => (i % 4 === 3 ? 255 : (i * 37) % 256));
const rgb = rgba.filter((_, i) => i % 4 !== 3);

const png = (options: object = {}): Buffer => {
  const image = new PNG({ width, height });
  image.data = Buffer.from(rgba);
  return PNG.sync.write(image, options);
};

test('a PNG is read from its path and from its bytes', async () => {
  const path = join(temporaryFolder(), 'image.png');
  writeFileSync(path, png());
  for (const input of [path, png(), new Uint8Array(png())]) {
    assert.deepEqual(await read(input), { width, height, channels: 4, data: rgba });
  }
});

test('every kind of PNG gives its pixels', async () => {
  const image = sharp(rgb, { raw: { width, height, channels: 3 } });
  assert.deepEqual((await read(png({ colorType: 2 }))).data, rgba, 'RGB');
  assert.deepEqual((await read(await image.clone().png({ palette: true }).toBuffer())).data, rgba, 'palette');
  assert.deepEqual((await read(await image.clone().png({ progressive: true }).toBuffer())).data, rgba, 'interlaced');
  const gray = await image.clone().grayscale().png().toBuffer();
  const [red, green, blue] = (await read(gray)).data;
  assert.ok(red === green && green === blue, 'gray');
  // One bit a pixel: white, black, white.
  const bit = writePng({ width: 3, height: 1, depth: 1, colorType: 0, rows: [[0b10100000]] });
  assert.deepEqual([...(await read(bit)).data], [255, 255, 255, 255, 0, 0, 0, 255, 255, 255, 255, 255]);
});

test('PNGs of every size, filter and number of colours give their pixels, interlaced or not', async () => {
  for (let size = 1; size <= 9; size++) {
    const [w, h] = [size, 10 - size];
    const data = Buffer.from(Array.from({ length: w * h * 3 }, (_, i) => (i * i * 7 + size) % 256));
    for (const progressive of [false, true]) {
      const image = sharp(data, { raw: { width: w, height: h, channels: 3 } });
      for (const options of [
        {},
        { adaptiveFiltering: true },
        { palette: true, colours: 2 },
        { palette: true, colours: 4 },
        { palette: true, colours: 16 },
      ]) {
        const file = await image
          .clone()
          .png({ ...options, progressive })
          .toBuffer();
        const expected = await sharp(file).ensureAlpha().raw().toBuffer();
        assert.deepEqual(
          Buffer.from((await read(file)).data),
          expected,
          `${w}x${h} ${progressive} ${JSON.stringify(options)}`,
        );
      }
    }
  }
  for (const filterType of [0, 1, 2, 3, 4]) assert.deepEqual((await read(png({ filterType }))).data, rgba);
});

test('a colour that a PNG names as transparent is', async () => {
  const gray = writePng({ width: 2, height: 1, depth: 2, colorType: 0, rows: [[0b01100000]], transparency: [0, 1] });
  assert.deepEqual([...(await read(gray)).data], [85, 85, 85, 0, 170, 170, 170, 255]);
  const color = writePng({
    width: 2,
    height: 1,
    depth: 8,
    colorType: 2,
    rows: [[1, 2, 3, 1, 2, 4]],
    transparency: [0, 1, 0, 2, 0, 3],
  });
  assert.deepEqual([...(await read(color)).data], [1, 2, 3, 0, 1, 2, 4, 255]);
});

test('16 bits a channel are rounded to 8', async () => {
  // 0x0180 is 1.49 of 255, 0x0181 is 1.5.
  const gray = writePng({ width: 2, height: 1, depth: 16, colorType: 0, rows: [[0x01, 0x80, 0xff, 0xff]] });
  assert.deepEqual([...(await read(gray)).data], [1, 1, 1, 255, 255, 255, 255, 255]);
  const color = writePng({ width: 1, height: 1, depth: 16, colorType: 2, rows: [[0x80, 0x80, 0, 0, 0x12, 0x34]] });
  assert.deepEqual([...(await read(color)).data], [128, 0, 18, 255]);
});

test('JPEG and WebP are read by sharp', async () => {
  const flat = sharp({ create: { width: 9, height: 5, channels: 3, background: '#4080c0' } });
  for (const format of ['jpeg', 'webp'] as const) {
    const image = await read(await flat.clone().toFormat(format).toBuffer());
    assert.deepEqual([image.width, image.height, image.channels], [9, 5, 4]);
    [0x40, 0x80, 0xc0, 255].forEach((value, channel) => {
      assert.ok(Math.abs((image.data[channel] as number) - value) <= 3, format);
    });
  }
  const gray = await read(await flat.clone().grayscale().jpeg().toBuffer());
  assert.equal(gray.data.length, 9 * 5 * 4);
  const cmyk = await read(await flat.clone().toColourspace('cmyk').jpeg().toBuffer());
  assert.equal(cmyk.data.length, 9 * 5 * 4);
});

test('an image is turned as its EXIF orientation says, whatever its format', async () => {
  // Large areas of color, which JPEG preserves: the left and right halves differ above and below.
  const side = 32;
  const field = Buffer.from(
    Array.from({ length: side * side * 2 }, (_, i) => {
      const [x, y] = [i % (2 * side), Math.floor(i / (2 * side))];
      return [x < side ? 255 : 0, y < side / 2 ? 255 : 0, 0];
    }).flat(),
  );
  for (let orientation = 1; orientation <= 8; orientation++) {
    const image = sharp(field, { raw: { width: 2 * side, height: side, channels: 3 } }).withMetadata({ orientation });
    const expected = await sharp(await image.clone().png().toBuffer())
      .rotate()
      .raw()
      .toBuffer({ resolveWithObject: true });
    for (const format of ['png', 'jpeg', 'webp'] as const) {
      const { data, ...size } = await toRgb(await read(await image.clone().toFormat(format).toBuffer()));
      assert.deepEqual(
        [size.width, size.height],
        [expected.info.width, expected.info.height],
        `${format} ${orientation}`,
      );
      const worst = data.reduce((sum, value, i) => sum + Math.abs(value - (expected.data[i] as number)), 0);
      assert.ok(worst / data.length < 8, `${format} ${orientation}: off by ${worst / data.length} on average`);
    }
  }
});

test('pixels in memory are taken in every form, and copied at once', async () => {
  const floats = Float32Array.from(rgb, (value) => value / 255);
  const words = Uint16Array.from(rgb, (value) => value * 257);
  for (const data of [rgb, rgba, new Uint8ClampedArray(rgb), Buffer.from(rgba), words, floats]) {
    const reading = read({ width, height, data });
    data.fill(0);
    assert.deepEqual(await reading, { width, height, channels: 4, data: rgbaOf() }, data.constructor.name);
    data.set(data.length === 24 ? rgbaOf() : data instanceof Float32Array ? [] : rgbOf());
  }
  const gray = await read({ width: 2, height: 1, data: Uint8Array.of(7, 9) });
  assert.deepEqual([...gray.data], [7, 7, 7, 255, 9, 9, 9, 255]);
});

const rgbaOf = (): Uint8Array => Uint8Array.from({ length: 24 }, (_, i) => (i % 4 === 3 ? 255 : (i * 37) % 256));
const rgbOf = (): Uint8Array => rgbaOf().filter((_, i) => i % 4 !== 3);

test('what is transparent shows white in an image and counts as black in a mask', async () => {
  const data = Uint8Array.of(10, 20, 30, 0, 10, 20, 30, 255, 100, 100, 100, 51);
  const image: Pixels = { width: 3, height: 1, channels: 4, data };
  assert.deepEqual([...(await toRgb(image)).data], [255, 255, 255, 10, 20, 30, 224, 224, 224]);
  assert.deepEqual([...(await toGray(image)).data], [0, 18, 20]);
});

const header = (w: number, h: number): Buffer => {
  const data = Buffer.alloc(13);
  data.writeUInt32BE(w, 0);
  data.writeUInt32BE(h, 4);
  data.set([8, 6, 0, 0, 0], 8);
  return Buffer.from(
    encodeChunks([
      { name: 'IHDR', data },
      { name: 'IDAT', data: deflateSync(Buffer.alloc(64)) },
      { name: 'IEND', data: Buffer.alloc(0) },
    ]),
  );
};
const flipped = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] as number) ^ 0xff;
  return copy;
};
const huge = Buffer.alloc(2 ** 28 + 1);
huge.set(png().subarray(0, 8));
const bits = { width: 1, height: 1, depth: 8, colorType: 0 };
const jpeg = await sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } })
  .jpeg()
  .toBuffer();

const BAD_FILES: readonly (readonly [what: string, bytes: Uint8Array, message: RegExp])[] = [
  ['nothing', Buffer.alloc(0), /a PNG, JPEG or WebP image but the bytes of image is not one/],
  ['one byte', Buffer.from([0x89]), /PNG, JPEG or WebP/],
  ['text', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), /PNG, JPEG or WebP/],
  ['a GIF', Buffer.from('GIF89a'.padEnd(64, '\0')), /PNG, JPEG or WebP/],
  ['100 MB of zeros', Buffer.alloc(1e8), /PNG, JPEG or WebP/],
  ['a PNG of 256 MB and more', huge, /an image file of at most 268435456 bytes/],
  ['the signature of PNG alone', png().subarray(0, 8), /it ends before its last chunk/],
  ['a PNG cut within its header', png().subarray(0, 30), /the chunk at byte 8 goes over the end/],
  ['a PNG without pixels', png().subarray(0, 33), /intact PNG/],
  ['a PNG cut within its pixels', png().subarray(0, png().length - 20), /intact PNG/],
  ['a PNG without its end', png().subarray(0, png().length - 12), /intact PNG/],
  ['a PNG with a wrong checksum', flipped(png(), 29), /intact PNG/],
  ['a PNG with damaged pixels', flipped(png(), 45), /intact PNG/],
  [
    'a PNG of 10 billion pixels',
    header(100_000, 100_000),
    /1 to 33554432 pixels and at most 65536 a side, but .* says it has 100000 x 100000$/,
  ],
  ['a PNG of 2^62 pixels', header(2 ** 31, 2 ** 31), /1 to 33554432 pixels and at most 65536 a side/],
  ['a PNG without width', header(0, 10), /says it has 0 x 10/],
  ['a PNG without height', header(10, 0), /says it has 10 x 0/],
  ['a PNG of more pixels than it has', header(4096, 4096), /it has 64 of 67112960 bytes of pixels/],
  ['a PNG with a filter that does not exist', writePng({ ...bits, rows: [[0]], filter: 5 }), /unknown filter 5/],
  ['a PNG of 3 bits', writePng({ ...bits, depth: 3, rows: [[0]] }), /no form of PNG/],
  ['a PNG without its palette', writePng({ ...bits, colorType: 3, rows: [[0]] }), /palette is missing/],
  ['a PNG with pixels too many', writePng({ ...bits, rows: [[0], [0]] }), /intact PNG/],
  ['a PNG whose first chunk is another', flipped(png(), 13), /does not begin with a header/],
  ['a JPEG of its signature', jpeg.subarray(0, 3), /intact JPEG/],
  ['a JPEG cut in half', jpeg.subarray(0, jpeg.length / 2), /intact JPEG/],
  ['a WebP of its signature', Buffer.from('RIFF\0\0\0\0WEBPVP8 '), /intact WebP/],
];

for (const [what, bytes, message] of BAD_FILES) {
  test(`${what} is no image`, async () => {
    await assert.rejects(read(bytes), { name: 'DiffusionError', code: 'ERR_IMAGE', message });
  });
}

test('a PNG with a chunk too much, a false chunk length or deflated bombs is refused or read, and never hangs', async () => {
  const chunks = extractChunks(png());
  const bomb = { name: 'IDAT', data: deflateSync(Buffer.alloc(1e8)) };
  const long = Buffer.from(png());
  long.writeUInt32BE(0xffffffff, 33);
  for (const bytes of [encodeChunks([chunks[0] as (typeof chunks)[0], bomb, ...chunks.slice(-1)]), long]) {
    const result = await read(bytes).catch((error: { code: string }) => error);
    assert.ok('code' in result ? result.code === 'ERR_IMAGE' : result.data.length === 24);
  }
});

test('a damaged file is refused as one or read, and does nothing else', async () => {
  const image = sharp(rgba, { raw: { width, height, channels: 4 } });
  const files = [
    png(),
    await image.clone().withMetadata({ orientation: 6 }).png({ palette: true, progressive: true }).toBuffer(),
    await image.clone().jpeg().toBuffer(),
    await image.clone().webp().toBuffer(),
  ];
  const damage = fc.record({
    file: fc.constantFrom(...files),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    byte: fc.nat(255),
    cut: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(damage, async ({ file, at, byte, cut }) => {
      const index = Math.min(Math.floor(at * file.length), file.length - 1);
      const damaged = cut ? file.subarray(0, index) : Buffer.from(file);
      if (!cut) damaged[index] = byte;
      const result = await read(damaged).catch((error: { code: string }) => error);
      if ('code' in result) assert.equal(result.code, 'ERR_IMAGE');
      else assert.equal(result.data.length, 4 * result.width * result.height);
    }),
    { numRuns: 300 },
  );
});

test('a path that leads to no image is refused without reading it all', async () => {
  const folder = temporaryFolder();
  await assert.rejects(read(join(folder, 'none.png')), { code: 'ERR_FILE', message: /none\.png': .*no such file/ });
  await assert.rejects(read(folder), { code: 'ERR_FILE', message: /Cannot read/ });
  if (process.platform === 'linux') {
    await assert.rejects(read('/dev/zero'), { code: 'ERR_FILE', message: /'\/dev\/zero': it is a device/ });
  }
});

test('floats that are no share of light are refused with their place', async () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -0.1, 1.01]) {
    const data = new Float32Array(18);
    data[7] = value;
    await assert.rejects(read({ width, height, data }), {
      name: 'RangeError',
      code: 'ERR_INVALID_ARG_VALUE',
      message: /finite numbers from 0 to 1 for image\.data but received .* at index 7/,
    });
  }
});

test('a JPEG says how to install sharp where it is missing, and a PNG needs none', () => {
  const input = moduleUrl('lib/image/input.ts');
  const hook = `export async function resolve(name, context, next) {
    if (name === 'sharp') throw Object.assign(new Error("Cannot find package 'sharp'"), { code: 'ERR_MODULE_NOT_FOUND' });
    return next(name, context);
  }`;
  const script = `import { register } from 'node:module';
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}));
    const { readImage } = await import('${input}');
    const png = Buffer.from('${png().toString('base64')}', 'base64');
    console.log((await readImage(png, 'image')).data.length);
    await readImage(Buffer.from('${jpeg.toString('base64')}', 'base64'), 'image').catch((e) => console.log(e.code, e.message));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  const [length, message] = stdout.split('\n');
  assert.equal(length, '24', stderr);
  assert.match(message as string, /^ERR_MISSING_PACKAGE .*JPEG image the bytes of image .*npm install sharp/);
});

test('reading a large image does not hold up the event loop', async () => {
  const side = 2048;
  const large = await sharp(Buffer.alloc(side * side * 4, 77), { raw: { width: side, height: side, channels: 4 } })
    .png()
    .toBuffer();
  const block = await bestBelow(30, () => longestBlock(read(large).then(toRgb)));
  assert.ok(block < 30, `blocked for ${block} ms`);
});

/** A PNG of rows without filters. */
function writePng(image: {
  width: number;
  height: number;
  depth: number;
  colorType: number;
  rows: number[][];
  transparency?: number[];
  filter?: number;
}): Uint8Array {
  const data = Buffer.alloc(13);
  data.writeUInt32BE(image.width, 0);
  data.writeUInt32BE(image.height, 4);
  data.set([image.depth, image.colorType], 8);
  const pixels = deflateSync(Buffer.from(image.rows.flatMap((row) => [image.filter ?? 0, ...row])));
  return encodeChunks([
    { name: 'IHDR', data },
    ...(image.transparency ? [{ name: 'tRNS', data: Buffer.from(image.transparency) }] : []),
    { name: 'IDAT', data: pixels },
    { name: 'IEND', data: Buffer.alloc(0) },
  ]);
}
