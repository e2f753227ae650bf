// Images that users give: what they may be, and how each becomes pixels.

import { types } from 'node:util';
import { DiffusionError, describe } from '../core/errors.ts';
import { quotePath, readUserFile } from '../files/user-file.ts';
import { OptionCheck } from '../options/check.ts';
import { formatOf, IMAGE_FILE } from './format.ts';
import { decodeByLibrary } from './jpeg-webp.ts';
import { checkFileSize, DEFAULT_MAX_PIXELS } from './limits.ts';
import type { Pixels } from './pixels.ts';
import { checkRawImage, type RawImage, rawPixels } from './raw.ts';
import { decodePng } from './read-png.ts';

/**
 * An image: the path of a PNG, JPEG or WebP file, the bytes of such a file, or pixels. JPEG and WebP need the package `sharp`,
 * which is installed apart (`npm install sharp`). An {@link RgbImage} and the `ImageData` of a canvas are pixels.
 *
 * An image may have up to 65,536 pixels a side and `maxPixels` in all, and a file 256 MiB. It is turned as its EXIF orientation
 * says, and reduced to 8 bits a channel.
 */
export type ImageInput = string | Uint8Array | RawImage;

/** What an image may be, for messages. */
export const IMAGE_INPUT = 'the path of an image, the bytes of one, or pixels { width, height, data }';

/**
 * Checks an option that is an image as far as that goes without reading it.
 *
 * @returns the image; pixels as they were when they were checked.
 */
export function checkImage(check: OptionCheck, name: string, maxPixels: number): ImageInput {
  const value = check.value(name);
  if (typeof value === 'string') return check.path(name);
  if (types.isUint8Array(value)) return value;
  if (hasPixels(value)) {
    return check.attempt(() => checkRawImage(value as RawImage, name, maxPixels)) ?? '';
  }
  check.problem({ name, expected: IMAGE_INPUT, received: describe(value), code: 'ERR_INVALID_ARG_TYPE' });
  return '';
}

function hasPixels(value: unknown): value is object {
  try {
    return typeof value === 'object' && value !== null && 'data' in value;
  } catch {
    return false;
  }
}

/** The same of an image that is an argument of its own, beside the options that `check` is of. */
export function checkImageArgument(check: OptionCheck, image: unknown, maxPixels: number): ImageInput {
  const checked = check.attempt(() => {
    const alone = new OptionCheck({ image }, ['image']);
    const input = checkImage(alone, 'image', maxPixels);
    alone.done();
    return input;
  });
  return checked ?? '';
}

/**
 * Reads an image that {@link checkImage} has seen. Bytes and pixels are copied before the call returns.
 *
 * @param name of the option, for messages.
 * @param maxPixels most that a file may claim to have.
 * @returns RGBA.
 * @throws DiffusionError `ERR_FILE`, `ERR_IMAGE`, or `ERR_MISSING_PACKAGE` where JPEG or WebP meets no `sharp`.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for pixels out of range.
 */
export async function readImage(
  input: ImageInput,
  name: string,
  maxPixels: number = DEFAULT_MAX_PIXELS,
): Promise<Pixels> {
  if (typeof input !== 'string' && !types.isUint8Array(input)) return rawPixels(input, name);
  const source = typeof input === 'string' ? quotePath(input) : `the bytes of ${name}`;
  const bytes = typeof input === 'string' ? await readUserFile(input, IMAGE_FILE) : input;
  const format = formatOf(bytes);
  if (!format) throw new DiffusionError('ERR_IMAGE', `Expected a PNG, JPEG or WebP image but ${source} is none`);
  checkFileSize(bytes.length, source);
  if (format === 'PNG') return decodePng(bytes, source, maxPixels);
  return decodeByLibrary(bytes, format, source, maxPixels);
}
