// How large an image may be that users give.

import { DiffusionError } from '../core/errors.ts';
import { OptionCheck } from '../options/check.ts';

/** Pixels along one side: what JPEG can have, and what can be worked on row by row. */
export const MAX_IMAGE_SIDE = 2 ** 16;

/** Pixels of one image that are never too many. */
export const MAX_IMAGE_PIXELS = 2 ** 26;

/** Pixels of one image unless the user says otherwise: 8K. A file of some kilobytes may claim any number. */
export const DEFAULT_MAX_PIXELS = 2 ** 25;

/** Bytes of a file, which may be more than those of its pixels. */
export const MAX_FILE_BYTES = 2 ** 28;

/** The option of every call that reads images. */
export interface ImageLimits {
  /**
   * Most pixels that an image which is given may have, 1 to 2^26. Default 2^25 (8K): a small file may claim to be a huge image, and
   * reading one takes up to 12 bytes a pixel.
   */
  maxPixels?: number | undefined;
}

/** @param name of the option, where it has another in messages. */
export function checkMaxPixels(check: OptionCheck, name = 'maxPixels'): number {
  return check.number(name, DEFAULT_MAX_PIXELS, { min: 1, max: MAX_IMAGE_PIXELS, integer: true });
}

/** The same alone. */
export function checkedMaxPixels(maxPixels: unknown): number {
  const check = new OptionCheck({ maxPixels }, ['maxPixels']);
  const checked = checkMaxPixels(check);
  check.done();
  return checked;
}

/** Whether an image may have that size. */
export function fitsLimits(width: number, height: number, maxPixels: number): boolean {
  return width > 0 && height > 0 && Math.max(width, height) <= MAX_IMAGE_SIDE && width * height <= maxPixels;
}

/** What a size must be, for messages. */
function describeLimits(maxPixels: number): string {
  return `an image of 1 to ${maxPixels} pixels and at most ${MAX_IMAGE_SIDE} a side`;
}

/**
 * @param source what to call the image in an error message.
 * @throws DiffusionError `ERR_IMAGE` for an image without pixels, and for one of too many.
 */
export function checkImageSize(width: number, height: number, maxPixels: number, source: string): void {
  if (fitsLimits(width, height, maxPixels)) return;
  const remedy = fitsLimits(width, height, MAX_IMAGE_PIXELS) ? '. Allow more with maxPixels (--max-pixels)' : '';
  throw new DiffusionError(
    'ERR_IMAGE',
    `Expected ${describeLimits(maxPixels)}, but ${source} says it has ${width} x ${height}${remedy}`,
  );
}

/**
 * @param source what to call the file in an error message.
 * @throws DiffusionError `ERR_IMAGE` for a file that is too large.
 */
export function checkFileSize(bytes: number, source: string): void {
  if (bytes <= MAX_FILE_BYTES) return;
  throw new DiffusionError('ERR_IMAGE', `Expected at most ${MAX_FILE_BYTES} bytes of an image but ${source} has more`);
}
