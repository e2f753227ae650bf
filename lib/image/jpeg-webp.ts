// Converts JPEG and WebP files to pixels and back, with the package `sharp` if the user has installed it.

import type { Buffer } from 'node:buffer';
import { DiffusionError } from '../core/errors.ts';
import { outOfMemory } from '../core/out-of-memory.ts';
import { checkImageSize } from './limits.ts';
import { type Pixels, withAlpha } from './pixels.ts';

/** The used part of `sharp`. Its own types cannot be imported, since it may not be installed. */
interface Sharp {
  (
    bytes: Uint8Array,
    options: { limitInputPixels: number | false },
  ): SharpImage & { metadata(): Promise<{ width: number; height: number; hasAlpha: boolean }> };
  (pixels: Uint8Array, options: { raw: { width: number; height: number; channels: 3 } }): SharpImage;
}

interface SharpImage {
  jpeg(options: { quality: number; chromaSubsampling: '4:4:4' | '4:2:0' }): { toBuffer(): Promise<Buffer> };
  webp(options: { quality: number }): { toBuffer(): Promise<Buffer> };
  rotate(): SharpImage;
  toColourspace(space: 'srgb'): SharpImage;
  raw(): SharpImage;
  toBuffer(options: {
    resolveWithObject: true;
  }): Promise<{ data: Uint8Array; info: { width: number; height: number; channels: number } }>;
}

/**
 * @param bytes of a JPEG or WebP file; copied before the call returns.
 * @returns RGBA in sRGB, with the EXIF orientation applied.
 * @throws DiffusionError `ERR_MISSING_PACKAGE` if `sharp` is not installed, `ERR_IMAGE` if it cannot read the bytes,
 *   `ERR_OUT_OF_MEMORY`.
 */
export async function decodeByLibrary(
  bytes: Uint8Array,
  format: string,
  source: string,
  maxPixels: number,
): Promise<Pixels> {
  const copy = new Uint8Array(bytes);
  const sharp = await loadSharp(format, source);
  try {
    // Reads only the header. The library's own limit would give a less useful message.
    const { width, height, hasAlpha } = await sharp(copy, { limitInputPixels: false }).metadata();
    checkImageSize(width, height, maxPixels, source);
    const { data, info } = await sharp(copy, { limitInputPixels: maxPixels })
      .rotate()
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== (hasAlpha ? 4 : 3)) throw new Error(`it has ${info.channels} channels`);
    const image = { width: info.width, height: info.height, data };
    // The library would add alpha while holding the decoded image, which for a progressive JPEG takes twice as much as
    // the pixels.
    return hasAlpha ? { ...image, channels: 4 } : await withAlpha({ ...image, channels: 3 });
  } catch (cause) {
    if (cause instanceof DiffusionError) throw cause;
    requireMemory(cause);
    const message = `Expected an intact ${format} file but ${source} is not one: ${firstOf((cause as Error).message)}`;
    throw new DiffusionError('ERR_IMAGE', message, { cause });
  }
}

/**
 * Encodes pixels as a file.
 *
 * @param data `[height, width, 3]`
 * @param quality 1 to 100.
 * @throws DiffusionError `ERR_MISSING_PACKAGE` if `sharp` is not installed, `ERR_WRITE` if it refuses, as WebP does for
 *   sides over 16,383, `ERR_OUT_OF_MEMORY`.
 */
export async function encodeByLibrary(
  { data, width, height }: { readonly data: Uint8Array; readonly width: number; readonly height: number },
  format: 'JPEG' | 'WebP',
  quality: number,
): Promise<Buffer> {
  const sharp = await loadSharp(format, 'to write');
  try {
    const image = sharp(data, { raw: { width, height, channels: 3 } });
    if (format === 'WebP') return await image.webp({ quality }).toBuffer();
    // libvips' own rule: high quality keeps colors at full resolution.
    return await image.jpeg({ quality, chromaSubsampling: quality >= 90 ? '4:4:4' : '4:2:0' }).toBuffer();
  } catch (cause) {
    requireMemory(cause);
    const message = `Cannot write ${width} x ${height} pixels as ${format}: ${firstOf((cause as Error).message)}`;
    throw new DiffusionError('ERR_WRITE', message, { cause });
  }
}

/** Messages of libvips and of its libraries, whose errors have no codes. */
const LACK_OF_MEMORY = /out of memory|cannot allocate memory|insufficient memory|memory allocation|failed to allocate/i;

/** @throws DiffusionError `ERR_OUT_OF_MEMORY` for an error that says so. */
function requireMemory(error: unknown): void {
  if (LACK_OF_MEMORY.test((error as Error).message)) throw outOfMemory(error);
}

/** The library repeats its message for every row that it could not read. */
function firstOf(message: string): string {
  return [...new Set(message.split('\n').map((line) => line.trim()))].filter((line) => line !== '').join('; ');
}

/**
 * @param source what it is needed for, in words.
 * @throws DiffusionError `ERR_MISSING_PACKAGE` if it is not installed.
 */
export async function loadSharp(format: string, source: string): Promise<Sharp> {
  const name: string = 'sharp';
  try {
    return ((await import(name)) as { default: Sharp }).default;
  } catch (cause) {
    const remedy = `Install it with \`npm install sharp\`, or use PNG. Its error: ${(cause as Error).message}`;
    const message = `Expected the package sharp for the ${format} image ${source} but it does not load. ${remedy}`;
    throw new DiffusionError('ERR_MISSING_PACKAGE', message, { cause });
  }
}
