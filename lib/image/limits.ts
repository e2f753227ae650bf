// Limits on the size of images given by users.

import { DiffusionError } from '../core/errors.ts';
import { OptionCheck } from '../options/check.ts';

/** Pixels along one side: JPEG's maximum, and what can be processed row by row. */
export const MAX_IMAGE_SIDE = 2 ** 16;

/** Pixels of one image that are always allowed. */
export const MAX_IMAGE_PIXELS = 2 ** 26;

/** Default maximum of pixels in one image: 8K. A file of a few kilobytes may claim any number. */
export const DEFAULT_MAX_PIXELS = 2 ** 25;

/** Bytes of a file, which may be larger than its pixels. */
export const MAX_FILE_BYTES = 2 ** 28;

/** The option of every call that reads images. */
export interface ImageLimits {
  /**
   * The maximum number of pixels in an input image, 1 to 2^26. Default 2^25 (8K): a small file may claim to be a huge
   * image, and reading one takes up to 12 bytes per pixel.
   */
  maxPixels?: number | undefined;
}

/** @param name of the option, if it is called differently in messages. */
export function checkMaxPixels(check: OptionCheck, name = 'maxPixels'): number {
  return check.number(name, DEFAULT_MAX_PIXELS, { min: 1, max: MAX_IMAGE_PIXELS, integer: true });
}

/** The same, without an options object. */
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

/** A description of valid sizes, for messages. */
function describeLimits(maxPixels: number): string {
  return `an image of 1 to ${maxPixels} pixels and at most ${MAX_IMAGE_SIDE} a side`;
}

/**
 * @param source the name of the image in error messages.
 * @throws DiffusionError `ERR_IMAGE` for an image with no pixels or too many.
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
 * @param source the name of the file in error messages.
 * @throws DiffusionError `ERR_IMAGE` for a file that is too large.
 */
export function checkFileSize(bytes: number, source: string): void {
  if (bytes <= MAX_FILE_BYTES) return;
  throw new DiffusionError(
    'ERR_IMAGE',
    `Expected an image file of at most ${MAX_FILE_BYTES} bytes but ${source} has more`,
  );
}
