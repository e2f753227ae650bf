// Pictures that users give: what they may be, and how each becomes pixels.

import { types } from 'node:util';
import { DiffusionError, describe } from '../errors.ts';
import { OptionCheck } from '../options.ts';
import { quotePath, readUserFile } from '../user-file.ts';
import { formatOf, PICTURE_FILE } from './format.ts';
import { decodeByLibrary } from './jpeg-webp.ts';
import { checkFileSize, DEFAULT_MAX_PIXELS } from './limits.ts';
import type { Pixels } from './pixels.ts';
import { decodePng } from './png.ts';
import { checkRawPicture, type RawPicture, rawPixels } from './raw.ts';

/**
 * A picture: the path of a PNG, JPEG or WebP file, the bytes of such a file, or pixels. JPEG and WebP need the package `sharp`,
 * which is installed apart (`npm install sharp`). An {@link RgbImage} and the `ImageData` of a canvas are pixels.
 *
 * A picture may have up to 65,536 pixels a side and `maxPixels` in all, and a file 256 MiB. It is turned as its EXIF orientation
 * says, and reduced to 8 bits a channel.
 */
export type PictureInput = string | Uint8Array | RawPicture;

/** What a picture may be, for messages. */
export const PICTURE_INPUT = 'the path of a picture, the bytes of one, or pixels { width, height, data }';

/**
 * Checks an option that is a picture as far as that goes without reading it.
 *
 * @returns the picture; pixels as they were when they were checked.
 */
export function checkPicture(check: OptionCheck, name: string, maxPixels: number): PictureInput {
  const value = check.value(name);
  if (typeof value === 'string') return check.path(name);
  if (types.isUint8Array(value)) return value;
  if (hasPixels(value)) {
    return check.attempt(() => checkRawPicture(value as RawPicture, name, maxPixels)) ?? '';
  }
  check.problem({ name, expected: PICTURE_INPUT, received: describe(value), code: 'ERR_INVALID_ARG_TYPE' });
  return '';
}

function hasPixels(value: unknown): value is object {
  try {
    return typeof value === 'object' && value !== null && 'data' in value;
  } catch {
    return false;
  }
}

/** The same of a picture that is an argument of its own, beside the options that `check` is of. */
export function checkPictureArgument(check: OptionCheck, image: unknown, maxPixels: number): PictureInput {
  const checked = check.attempt(() => {
    const alone = new OptionCheck({ image }, ['image']);
    const picture = checkPicture(alone, 'image', maxPixels);
    alone.done();
    return picture;
  });
  return checked ?? '';
}

/**
 * Reads a picture that {@link checkPicture} has seen. Bytes and pixels are copied before the call returns.
 *
 * @param name of the option, for messages.
 * @param maxPixels most that a file may claim to have.
 * @returns RGBA.
 * @throws DiffusionError `ERR_FILE`, `ERR_IMAGE`, or `ERR_MISSING_PACKAGE` where JPEG or WebP meets no `sharp`.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for pixels out of range.
 */
export async function readPicture(
  input: PictureInput,
  name: string,
  maxPixels: number = DEFAULT_MAX_PIXELS,
): Promise<Pixels> {
  if (typeof input !== 'string' && !types.isUint8Array(input)) return rawPixels(input, name);
  const source = typeof input === 'string' ? quotePath(input) : `the bytes of ${name}`;
  const bytes = typeof input === 'string' ? await readUserFile(input, PICTURE_FILE) : input;
  const format = formatOf(bytes);
  if (!format) throw new DiffusionError('ERR_IMAGE', `Expected a PNG, JPEG or WebP picture but ${source} is none`);
  checkFileSize(bytes.length, source);
  if (format === 'PNG') return decodePng(bytes, source, maxPixels);
  return decodeByLibrary(bytes, format, source, maxPixels);
}
