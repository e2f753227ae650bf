// PNG files that no program writes, chunk by chunk.

import { crc32, deflateSync } from 'node:zlib';

/** One chunk as it stands in a file. */
export function chunk(name: string, data: Uint8Array | string = ''): Buffer {
  const content = Buffer.from(data as Uint8Array);
  const bytes = Buffer.alloc(12 + content.length);
  bytes.writeUInt32BE(content.length);
  bytes.write(name, 4, 'latin1');
  content.copy(bytes, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, -4)), 8 + content.length);
  return bytes;
}

/** The header of an image; colour types are those of the specification. */
export function header(width: number, height: number, depth = 8, colorType = 2, interlace = 0): Buffer {
  const data = Buffer.alloc(13);
  data.writeUInt32BE(width);
  data.writeUInt32BE(height, 4);
  data.set([depth, colorType, 0, 0, interlace], 8);
  return chunk('IHDR', data);
}

/** A file of these chunks and its end. */
export function pngOf(...chunks: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), ...chunks, chunk('IEND')]);
}

/** The pixels of an image that is all zeros, or of so many bytes. */
export function blank(bytes: number): Buffer {
  return chunk('IDAT', deflateSync(Buffer.alloc(bytes), { level: 9, chunkSize: 2 ** 20 }));
}

/** The same chunk many times. */
export function times(count: number, one: Buffer): Buffer {
  return Buffer.alloc(count * one.length, one);
}
