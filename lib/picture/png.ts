// PNG files to pixels (PNG specification, third edition): the chunks and the inflating. Libraries that were tried hold up the event
// loop, take pixels that are missing for zeros, or end the process where a file is cut short.

import { Buffer } from 'node:buffer';
import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { DiffusionError } from '../errors.ts';
import { checkPictureSize } from './limits.ts';
import { orient, orientationOf } from './orientation.ts';
import type { Pixels } from './pixels.ts';
import { CHANNELS, inflatedLength, type PngImage, toRgba } from './png-rows.ts';

/** Bytes of the signature, and of a chunk besides its data: length, name and checksum. */
const SIGNATURE_LENGTH = 8;
const CHUNK_OVERHEAD = 12;
const HEADER_LENGTH = 13;

/** The bit depths of each colour type: gray, RGB, palette, gray and alpha, RGB and alpha. */
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};

/**
 * @param png bytes that begin with the signature of PNG; copied before the call returns.
 * @param source what to call the file in an error message.
 * @returns RGBA, turned as its EXIF orientation says. Gamma and colour profiles are left out of account.
 * @throws DiffusionError `ERR_IMAGE` where they are no intact PNG, or one of too many pixels.
 */
export async function decodePng(png: Uint8Array, source: string): Promise<Pixels> {
  const { header, data, ...others } = readChunks(Buffer.from(png), source);
  const image: PngImage = { ...readHeader(header, source), palette: others.PLTE, transparency: others.tRNS };
  if (image.colorType === 3 && !image.palette) throw corrupt(source, 'its palette is missing');
  const length = inflatedLength(image);
  const rows = await inflateRows(data, length, source);
  if (rows.length < length) throw corrupt(source, `it has ${rows.length} of ${length} bytes of pixels`);
  const rgba = await toRgba(image, rows, (reason) => corrupt(source, reason));
  return orient(rgba, others.eXIf ? orientationOf(others.eXIf) : 1);
}

/** What is read of a file; of the chunks that it need not have, those that are there. */
interface Chunks {
  readonly header: Buffer;
  readonly data: Buffer;
  readonly PLTE?: Buffer;
  readonly tRNS?: Buffer;
  readonly eXIf?: Buffer;
}

/** Walks the chunks up to the last, IEND. The pixels have a checksum of their own; that of the other chunks is checked here. */
function readChunks(png: Buffer, source: string): Chunks {
  const chunks: Record<string, Buffer> = {};
  const data: Buffer[] = [];
  for (let offset = SIGNATURE_LENGTH; ; ) {
    if (offset + CHUNK_OVERHEAD > png.length) throw corrupt(source, 'it ends before its last chunk');
    const length = png.readUInt32BE(offset);
    const end = offset + 8 + length;
    if (end + 4 > png.length) throw corrupt(source, `the chunk at byte ${offset} goes over the end of the file`);
    const name = png.toString('latin1', offset + 4, offset + 8);
    if (offset === SIGNATURE_LENGTH && name !== 'IHDR') throw corrupt(source, 'it does not begin with a header');
    if (name === 'IEND') break;
    if (name === 'IDAT') data.push(png.subarray(offset + 8, end));
    else if (['IHDR', 'PLTE', 'tRNS', 'eXIf'].includes(name)) {
      if (crc32(png.subarray(offset + 4, end)) !== png.readUInt32BE(end)) {
        throw corrupt(source, `the checksum of its chunk ${name} is wrong`);
      }
      chunks[name] ??= png.subarray(offset + 8, end);
    }
    offset = end + 4;
  }
  return { ...chunks, header: chunks.IHDR as Buffer, data: Buffer.concat(data) };
}

function readHeader(header: Buffer, source: string): Omit<PngImage, 'palette' | 'transparency'> {
  if (header.length !== HEADER_LENGTH) throw corrupt(source, `its header has ${header.length} bytes`);
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  checkPictureSize(width, height, source);
  const [depth, colorType, compression, filter, interlace] = header.subarray(8) as unknown as Iterable<number>;
  const isKnown = DEPTHS[colorType as number]?.includes(depth as number) && compression === 0 && filter === 0;
  if (!isKnown || (interlace as number) > 1) throw corrupt(source, 'its header names no form of PNG that exists');
  const channels = CHANNELS[colorType as number] as number;
  return {
    width,
    height,
    depth: depth as number,
    colorType: colorType as number,
    channels,
    interlaced: interlace === 1,
  };
}

/** Inflates on the thread pool, and no more than the rows take. */
async function inflateRows(data: Buffer, length: number, source: string): Promise<Buffer> {
  try {
    return await promisify<Buffer, object, Buffer>(inflate)(data, { maxOutputLength: length });
  } catch (cause) {
    throw corrupt(source, (cause as Error).message, cause);
  }
}

/** CRC-32 (PNG specification, annex D), bit by bit: it is asked of short chunks only. */
function crc32(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function corrupt(source: string, reason: string, cause?: unknown): DiffusionError {
  return new DiffusionError('ERR_IMAGE', `Expected an intact PNG file but ${source} is not one: ${reason}`, { cause });
}
