// How large a picture may be that users give.

import { DiffusionError } from '../errors.ts';

/** Pixels of one picture; a file may claim any number. */
export const MAX_PICTURE_PIXELS = 2 ** 26;

/** Bytes of a file, which may be more than those of its pixels. */
export const MAX_FILE_BYTES = 2 ** 28;

/**
 * @param source what to call the picture in an error message.
 * @throws DiffusionError `ERR_IMAGE` for a picture without pixels, and for one of too many.
 */
export function checkPictureSize(width: number, height: number, source: string): void {
  if (width > 0 && height > 0 && width * height <= MAX_PICTURE_PIXELS) return;
  const expected = `a picture of 1 to ${MAX_PICTURE_PIXELS} pixels`;
  throw new DiffusionError('ERR_IMAGE', `Expected ${expected} but ${source} says it has ${width} x ${height}`);
}

/**
 * @param source what to call the file in an error message.
 * @throws DiffusionError `ERR_IMAGE` for a file that is too large.
 */
export function checkFileSize(bytes: number, source: string): void {
  if (bytes <= MAX_FILE_BYTES) return;
  throw new DiffusionError('ERR_IMAGE', `Expected at most ${MAX_FILE_BYTES} bytes of a picture but ${source} has more`);
}
