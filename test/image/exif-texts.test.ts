// Metadata of JPEG and WebP files: where programs put it, in which encoding, and what damaged files do.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DiffusionError, readMetadata } from '../../lib/index.ts';

const prompt = 'ein Äpfel 一只猫';
const text = `${prompt}\nSteps: 4, Sampler: DPM++ 2M, Schedule type: Automatic, CFG scale: 7, Seed: 1, Size: 64x64`;

const MODEL = 0x0110;
const SOFTWARE = 0x0131;
const EXIF_DIRECTORY = 0x8769;
const USER_COMMENT = 0x9286;
const [ASCII, LONG, UNDEFINED] = [2, 4, 7];

type Entry = readonly [tag: number, type: number, value: Buffer];

/** A TIFF structure of one directory, or of two where entries for that of EXIF are given. */
function tiff(first: readonly Entry[], exif: readonly Entry[] = [], littleEndian = true): Buffer {
  const number = (value: number, bytes: 2 | 4) => {
    const buffer = Buffer.alloc(bytes);
    if (littleEndian) buffer.writeUIntLE(value, 0, bytes);
    else buffer.writeUIntBE(value, 0, bytes);
    return buffer;
  };
  const lengthOf = (entries: readonly Entry[]) => 2 + 12 * entries.length + 4;
  const inner = 8 + lengthOf(first) + (exif.length > 0 ? 12 : 0);
  const all = exif.length > 0 ? [...first, [EXIF_DIRECTORY, LONG, number(inner, 4)] as const] : first;
  let data = inner + (exif.length > 0 ? lengthOf(exif) : 0);
  const values: Buffer[] = [];
  const directory = (entries: readonly Entry[]) =>
    Buffer.concat([
      number(entries.length, 2),
      ...entries.map(([tag, type, value]) => {
        const head = [number(tag, 2), number(type, 2), number(type === LONG ? 1 : value.length, 4)];
        if (value.length <= 4) return Buffer.concat([...head, value, Buffer.alloc(4 - value.length)]);
        values.push(value);
        data += value.length;
        return Buffer.concat([...head, number(data - value.length, 4)]);
      }),
      number(0, 4),
    ]);
  const directories = [directory(all), ...(exif.length > 0 ? [directory(exif)] : [])];
  const head = [Buffer.from(littleEndian ? 'II' : 'MM'), number(42, 2), number(8, 4)];
  return Buffer.concat([...head, ...directories, ...values]);
}

function segment(marker: number, data: Buffer): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(data.length + 2, 2);
  return Buffer.concat([head, data]);
}

function jpeg(...segments: readonly Buffer[]): Buffer {
  const [start, jfif, scan] = [
    Buffer.from([0xff, 0xd8]),
    segment(0xe0, Buffer.from('JFIF\0')),
    segment(0xda, Buffer.alloc(8)),
  ];
  return Buffer.concat([start, jfif, ...segments, scan, Buffer.from([0xff, 0xd9])]);
}

const exifSegment = (data: Buffer) => segment(0xe1, Buffer.concat([Buffer.from('Exif\0\0'), data]));

function webp(...chunks: readonly (readonly [name: string, data: Buffer])[]): Buffer {
  const parts = [['VP8L', Buffer.alloc(5)] as const, ...chunks].map(([name, data]) => {
    const head = Buffer.from(`${name}\0\0\0\0`);
    head.writeUInt32LE(data.length, 4);
    return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
  });
  return Buffer.concat([Buffer.from('RIFF\0\0\0\0WEBP'), ...parts]);
}

const utf16le = Buffer.from(text, 'utf16le');
const comment = (code: string, data: Buffer): Entry => [
  USER_COMMENT,
  UNDEFINED,
  Buffer.concat([Buffer.from(code), data]),
];

const comments: Record<string, Entry> = {
  'UTF-16, upper byte first': comment('UNICODE\0', Buffer.from(utf16le).swap16()),
  'UTF-16, lower byte first': comment('UNICODE\0', utf16le),
  'UTF-16 with a byte order mark': comment('UNICODE\0', Buffer.concat([Buffer.from([0xff, 0xfe]), utf16le])),
  'UTF-8 that is called Unicode': comment('UNICODE\0', Buffer.from(text)),
  'UTF-8 that is called ASCII': comment('ASCII\0\0\0', Buffer.from(text)),
  'UTF-8 of no name': comment('\0\0\0\0\0\0\0\0', Buffer.from(text)),
  'UTF-8 alone': [USER_COMMENT, ASCII, Buffer.from(`${text}\0`)],
};

for (const [name, entry] of Object.entries(comments)) {
  test(`the user comment of EXIF is read: ${name}`, async () => {
    for (const littleEndian of [true, false]) {
      for (const data of [tiff([], [entry], littleEndian), tiff([entry], [], littleEndian)]) {
        const files = [
          jpeg(exifSegment(data)),
          webp(['EXIF', data]),
          webp(['EXIF', Buffer.concat([Buffer.from('Exif\0\0'), data])]),
        ];
        for (const file of files) {
          const metadata = await readMetadata(file);
          const { scheduler, seed, raw } = metadata;
          assert.deepEqual([metadata.prompt, scheduler, seed, raw], [prompt, 'karras', 1, text]);
        }
      }
    }
  });
}

test('texts of stable-diffusion.cpp are read from JPEG and WebP files', async () => {
  const inComment = await readMetadata(jpeg(segment(0xfe, Buffer.from(`parameters\0${text}\0`))));
  assert.deepEqual([inComment.prompt, inComment.seed], [prompt, 1]);
  const xmp = `<x:xmpmeta><sdcpp:parameters>a &lt;b&gt; &amp;amp; c\n${text}</sdcpp:parameters></x:xmpmeta>`;
  assert.equal((await readMetadata(webp(['XMP ', Buffer.from(xmp)]))).prompt, `a <b> &amp; c\n${prompt}`);
});

test('the graph of ComfyUI is read from WebP files, and the program from where it stands', async () => {
  const graph = JSON.stringify({ 1: { class_type: 'LoadImage', inputs: {} } });
  const data = tiff([
    [MODEL, ASCII, Buffer.from(`prompt:${graph}\0`)],
    [SOFTWARE, ASCII, Buffer.from('me\0')],
  ]);
  assert.equal((await readMetadata(webp(['EXIF', data]))).software, 'ComfyUI');
});

test('a file of another kind, or one without texts, is reported as such', async () => {
  const bare = [
    jpeg(),
    webp(),
    jpeg(segment(0xfe, Buffer.from('a comment'))),
    webp(['EXIF', Buffer.from('II')]),
    jpeg(exifSegment(tiff([]))),
  ];
  for (const file of bare)
    await assert.rejects(readMetadata(file), { code: 'ERR_IMAGE', message: /no text that says how/ });
  await assert.rejects(readMetadata(Buffer.from('GIF89a')), {
    code: 'ERR_IMAGE',
    message: /Expected a PNG, JPEG or WebP/,
  });
});

test('a damaged file gives its text or a typed error', async () => {
  const data = tiff([[SOFTWARE, ASCII, Buffer.from('a program\0')]], [comments['UTF-16, lower byte first'] as Entry]);
  for (const file of [jpeg(exifSegment(data)), webp(['EXIF', data], ['XMP ', Buffer.from('<sdcpp:parameters>')])]) {
    const damage = fc.record({ at: fc.nat(120), byte: fc.nat(255), end: fc.nat(file.length) });
    await fc.assert(
      fc.asyncProperty(damage, async ({ at, byte, end }) => {
        const damaged = Buffer.from(file);
        damaged[at] = byte;
        await readMetadata(damaged.subarray(0, end)).catch((error) => assert.ok(error instanceof DiffusionError));
      }),
      { numRuns: 500 },
    );
  }
});

test('a hostile file takes no more than its length in time', async () => {
  // 65,535 entries that point to the same long text, and as many segments as fit.
  const entries = Buffer.alloc(2 + 65_535 * 12 + 4);
  entries.writeUInt16LE(65_535, 0);
  for (let i = 0; i < 65_535; i++) {
    const at = 2 + 12 * i;
    entries.writeUInt16LE(MODEL, at);
    entries.writeUInt16LE(ASCII, at + 2);
    entries.writeUInt32LE(2 ** 20, at + 4);
    entries.writeUInt32LE(8, at + 8);
  }
  const data = Buffer.concat([Buffer.from('II*\0\x08\0\0\0', 'latin1'), entries, Buffer.alloc(2 ** 19, 'a')]);
  const segments = Array.from({ length: 20_000 }, () => segment(0xfe, Buffer.from('a\0b')));
  for (const file of [webp(['EXIF', data]), jpeg(...segments), jpeg(Buffer.alloc(1e6, 0xff))]) {
    await assert.rejects(readMetadata(file), { code: 'ERR_IMAGE' });
  }
});
