// JPEG and WebP files to pixels, by the package `sharp` where the user has installed it.

import { DiffusionError } from '../errors.ts';
import { checkPictureSize } from './limits.ts';
import type { Pixels } from './pixels.ts';

/** What is used of `sharp`. Its own types cannot be named, since it need not be there. */
type Sharp = (
  bytes: Uint8Array,
  options: { limitInputPixels: number | false },
) => SharpImage & { metadata(): Promise<{ width: number; height: number }> };

interface SharpImage {
  rotate(): SharpImage;
  toColourspace(space: 'srgb'): SharpImage;
  ensureAlpha(): SharpImage;
  raw(): SharpImage;
  toBuffer(options: {
    resolveWithObject: true;
  }): Promise<{ data: Uint8Array; info: { width: number; height: number; channels: number } }>;
}

/**
 * @param bytes of a JPEG or WebP file; copied before the call returns.
 * @returns RGBA, turned as EXIF says, in sRGB.
 * @throws DiffusionError `ERR_MISSING_PACKAGE` where `sharp` is not installed, `ERR_IMAGE` where it cannot read the bytes.
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
    const image = sharp(copy, { limitInputPixels: maxPixels });
    // Its own limit says less, and only once the size is known: the header alone is read here.
    const { width, height } = await sharp(copy, { limitInputPixels: false }).metadata();
    checkPictureSize(width, height, maxPixels, source);
    const { data, info } = await image
      .rotate()
      .toColourspace('srgb')
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 4) throw new Error(`it has ${info.channels} channels`);
    return { width: info.width, height: info.height, channels: 4, data };
  } catch (cause) {
    if (cause instanceof DiffusionError) throw cause;
    const message = `Expected an intact ${format} file but ${source} is not one: ${(cause as Error).message}`;
    throw new DiffusionError('ERR_IMAGE', message, { cause });
  }
}

async function loadSharp(format: string, source: string): Promise<Sharp> {
  const name: string = 'sharp';
  try {
    return ((await import(name)) as { default: Sharp }).default;
  } catch (cause) {
    const remedy = `Install it with \`npm install sharp\`, or give a PNG. It says: ${(cause as Error).message}`;
    const message = `Expected the package sharp for the ${format} picture ${source} but it does not load. ${remedy}`;
    throw new DiffusionError('ERR_MISSING_PACKAGE', message, { cause });
  }
}
