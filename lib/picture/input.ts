// Pictures that users give: what they may be, and how each becomes pixels.

import { DiffusionError, describe } from '../errors.ts';
import type { OptionCheck } from '../options.ts';
import { quotePath, readUserFile } from '../user-file.ts';
import { formatOf, PICTURE_FILE } from './format.ts';
import { decodeByLibrary } from './jpeg-webp.ts';
import { checkFileSize } from './limits.ts';
import type { Pixels } from './pixels.ts';
import { decodePng } from './png.ts';
import { checkRawPicture, type RawPicture, rawPixels } from './raw.ts';

/**
 * A picture: the path of a PNG, JPEG or WebP file, the bytes of such a file, or pixels. JPEG and WebP need the package `sharp`,
 * which is installed apart (`npm install sharp`). An {@link RgbImage} and the `ImageData` of a canvas are pixels.
 *
 * A picture may have up to 2^26 pixels and a file 256 MiB. It is turned as its EXIF orientation says, and reduced to 8 bits a
 * channel.
 */
export type PictureInput = string | Uint8Array | RawPicture;

/** What a picture may be, for messages. */
export const PICTURE_INPUT = 'the path of a picture, the bytes of one, or pixels { width, height, data }';

/** Checks an option that is a picture as far as that goes without reading it. */
export function checkPicture(check: OptionCheck, name: string): PictureInput {
  const value = check.value(name);
  if (typeof value === 'string') {
    if (value === '' || value.includes('\0')) {
      check.problem({ name, expected: 'a path', received: value === '' ? "''" : 'a path with a zero byte' });
    }
    return value;
  }
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'object' && value !== null && 'data' in value) {
    check.attempt(() => checkRawPicture(value as RawPicture, name));
  } else check.problem({ name, expected: PICTURE_INPUT, received: describe(value), code: 'ERR_INVALID_ARG_TYPE' });
  return value as PictureInput;
}

/**
 * Reads a picture that {@link checkPicture} has seen. Bytes and pixels are copied before the call returns.
 *
 * @param name of the option, for messages.
 * @returns RGBA.
 * @throws DiffusionError `ERR_FILE`, `ERR_IMAGE`, or `ERR_MISSING_PACKAGE` where JPEG or WebP meets no `sharp`.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for pixels out of range.
 */
export async function readPicture(input: PictureInput, name: string): Promise<Pixels> {
  if (typeof input !== 'string' && !(input instanceof Uint8Array)) return rawPixels(input, name);
  const source = typeof input === 'string' ? quotePath(input) : `the bytes of ${name}`;
  const bytes = typeof input === 'string' ? await readUserFile(input, PICTURE_FILE) : input;
  const format = formatOf(bytes);
  if (!format) throw new DiffusionError('ERR_IMAGE', `Expected a PNG, JPEG or WebP picture but ${source} is none`);
  checkFileSize(bytes.length, source);
  if (format === 'PNG') return decodePng(bytes, source);
  return decodeByLibrary(bytes, format, source);
}
