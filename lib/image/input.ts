// Images given by users: what is accepted, and how it becomes pixels.

import { types } from 'node:util';
import { DiffusionError, describe } from '../core/errors.ts';
import { reportMemory } from '../core/out-of-memory.ts';
import { quotePath, readUserFile } from '../files/user-file.ts';
import { OptionCheck } from '../options/check.ts';
import { formatOf, IMAGE_FILE } from './format.ts';
import { decodeByLibrary } from './jpeg-webp.ts';
import { checkFileSize, DEFAULT_MAX_PIXELS } from './limits.ts';
import type { Pixels } from './pixels.ts';
import { checkRawImage, type RawImage, rawPixels } from './raw.ts';
import { decodePng } from './read-png.ts';

/**
 * An image: the path of a PNG, JPEG or WebP file, the bytes of such a file, or pixels. JPEG and WebP need the package
 * `sharp`, installed separately (`npm install sharp`). An {@link RgbImage} and the `ImageData` of a canvas count as
 * pixels.
 *
 * An image may have up to 65,536 pixels per side and `maxPixels` in all, and a file up to 256 MiB. Its EXIF orientation
 * is applied, and it is reduced to 8 bits per channel.
 */
export type ImageInput = string | Uint8Array | RawImage;

/** A description of valid images, for messages. */
export const IMAGE_INPUT = 'the path of an image, the bytes of one, or pixels { width, height, data }';

/**
 * Checks an image option as far as possible without reading the image.
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

/** The same for an image that is a separate argument, next to the options of `check`. */
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
 * Reads an image that {@link checkImage} accepted. Bytes and pixels are copied before the call returns.
 *
 * @param name of the option, for messages.
 * @param maxPixels the maximum that a file may claim to have.
 * @returns RGBA.
 * @throws DiffusionError `ERR_FILE`, `ERR_IMAGE`, `ERR_OUT_OF_MEMORY`, or `ERR_MISSING_PACKAGE` for JPEG or WebP
 *   without `sharp`.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for pixels out of range.
 */
export async function readImage(
  input: ImageInput,
  name: string,
  maxPixels: number = DEFAULT_MAX_PIXELS,
): Promise<Pixels> {
  return reportMemory(decode(input, name, maxPixels));
}

async function decode(input: ImageInput, name: string, maxPixels: number): Promise<Pixels> {
  if (typeof input !== 'string' && !types.isUint8Array(input)) return rawPixels(input, name);
  const source = typeof input === 'string' ? quotePath(input) : `the bytes of ${name}`;
  const bytes = typeof input === 'string' ? await readUserFile(input, IMAGE_FILE) : input;
  const format = formatOf(bytes);
  if (!format) throw new DiffusionError('ERR_IMAGE', `Expected a PNG, JPEG or WebP image but ${source} is not one`);
  checkFileSize(bytes.length, source);
  if (format === 'PNG') return decodePng(bytes, source, maxPixels);
  return decodeByLibrary(bytes, format, source, maxPixels);
}
