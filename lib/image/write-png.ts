// Encodes pixels as PNG files.

import { Buffer } from 'node:buffer';
import { constants, type ZlibOptions } from 'node:zlib';
import { eachRow } from '../async/slices.ts';
import { encodeChunk, PNG_SIGNATURE } from './png-chunks.ts';
import { deflate } from './zlib.ts';

const GRAY = 0;
const RGB = 2;
/**
 * The filter "Up" on every row. "Paeth" makes files 10 % smaller, but filtering runs on the JavaScript thread and takes
 * three times as long.
 */
const UP = 2;

/** Only searches for runs of equal bytes: rows that differ little from the one above have those, and little else. */
const DEFLATE: ZlibOptions = { level: 9, strategy: constants.Z_RLE };

/**
 * Encodes 8-bit RGB as PNG. Only filtering runs on the calling thread, in slices; deflate runs on the thread pool.
 *
 * @param data `[height, width, 3]`
 */
export async function encodePng(data: Uint8Array, width: number, height: number): Promise<Buffer> {
  return encode(data, width, height, RGB, 8);
}

/**
 * Encodes 16-bit gray as PNG in the same way.
 *
 * @param data `[height, width]`, each value with its upper byte first.
 */
export async function encodeGray16(data: Uint8Array, width: number, height: number): Promise<Buffer> {
  return encode(data, width, height, GRAY, 16);
}

async function encode(
  data: Uint8Array,
  width: number,
  height: number,
  colorType: typeof GRAY | typeof RGB,
  bitDepth: 8 | 16,
): Promise<Buffer> {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([bitDepth, colorType], 8);
  const pixels = await deflate(await filter(data, height), DEFLATE);
  const chunks = [
    await encodeChunk('IHDR', header),
    await encodeChunk('IDAT', pixels),
    await encodeChunk('IEND', Buffer.alloc(0)),
  ];
  return Buffer.concat([PNG_SIGNATURE, ...chunks]);
}

/** Rows as differences to the row above, each with its filter byte first. */
async function filter(data: Uint8Array, height: number): Promise<Buffer> {
  const length = data.length / height;
  const rows = Buffer.alloc(height * (1 + length));
  await eachRow(height, (y) => {
    const target = y * (1 + length);
    const start = y * length;
    rows[target] = UP;
    for (let i = 0; i < length; i++) {
      const above = y === 0 ? 0 : (data[start - length + i] as number);
      rows[target + 1 + i] = (data[start + i] as number) - above;
    }
  });
  return rows;
}
