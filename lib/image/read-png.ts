// Reads PNG files (PNG specification, third edition): chunks and inflating. The libraries tried block the event loop,
// treat missing pixels as zeros, or end the process on a truncated file.

import { Buffer } from 'node:buffer';
import { isTurnOver, nextTurn } from '../async/slices.ts';
import { checkImageSize } from './limits.ts';
import { orient, orientationOf } from './orientation.ts';
import type { Pixels } from './pixels.ts';
import { checkChunk, chunksOf, corrupt } from './png-chunks.ts';
import { CHANNELS, type PngImage, toRgba } from './png-rows.ts';
import { inflateParts } from './zlib.ts';

const HEADER_LENGTH = 13;

/** The bit depths of each color type: gray, RGB, palette, gray and alpha, RGB and alpha. */
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};

/**
 * @param png bytes that begin with the PNG signature; copied before the call returns.
 * @param source the name of the file in error messages.
 * @returns RGBA with the EXIF orientation applied. Gamma and color profiles are ignored.
 * @throws DiffusionError `ERR_IMAGE` if it is not an intact PNG, or has too many pixels.
 */
export async function decodePng(png: Uint8Array, source: string, maxPixels: number): Promise<Pixels> {
  const { IHDR, PLTE, tRNS, orientation, data } = await readChunks(Buffer.from(png), source);
  const image: PngImage = { ...readHeader(IHDR, source, maxPixels), palette: PLTE, transparency: tRNS };
  if (image.colorType === 3 && !image.palette) throw corrupt(source, 'its palette is missing');
  const rows = inflateParts(data);
  try {
    const rgba = await toRgba(image, rows, (reason, cause) => corrupt(source, reason, cause));
    return await orient(rgba, orientation);
  } finally {
    await rows.return();
  }
}

/** The content of a file; optional chunks only if it has them. */
interface Chunks {
  readonly IHDR: Buffer;
  readonly PLTE?: Buffer;
  readonly tRNS?: Buffer;
  /** From EXIF, otherwise 1. */
  readonly orientation: number;
  /** The data of all IDAT chunks. */
  readonly data: Buffer;
}

/**
 * The pixels have their own checksum; those of the other chunks are checked here.
 *
 * @param png a copy that may be changed: the data of its IDAT chunks, of which there may be millions, is moved together
 *   in it.
 */
async function readChunks(png: Buffer, source: string): Promise<Chunks> {
  const chunks: Record<string, Buffer> = {};
  let [dataStart, dataEnd] = [0, 0];
  let orientation: number | undefined;
  for (const chunk of chunksOf(png, source)) {
    if (isTurnOver()) await nextTurn();
    const { name, start, end } = chunk;
    if (name === 'IDAT') {
      if (dataStart === 0) dataStart = dataEnd = start;
      if (dataEnd < start) png.copyWithin(dataEnd, start, end);
      dataEnd += end - start;
    } else if (['IHDR', 'PLTE', 'tRNS', 'eXIf'].includes(name)) {
      await checkChunk(png, chunk, source);
      const content = png.subarray(start, end);
      if (name === 'eXIf') orientation ??= orientationOf(content);
      else chunks[name] ??= Buffer.from(content);
    }
  }
  return {
    ...chunks,
    IHDR: chunks.IHDR as Buffer,
    orientation: orientation ?? 1,
    data: png.subarray(dataStart, dataEnd),
  };
}

function readHeader(header: Buffer, source: string, maxPixels: number): Omit<PngImage, 'palette' | 'transparency'> {
  if (header.length !== HEADER_LENGTH) throw corrupt(source, `its header has ${header.length} bytes`);
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  checkImageSize(width, height, maxPixels, source);
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
