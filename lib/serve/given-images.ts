// Images in requests: base64, alone or in a data URL. Never an address or a path.

import { argumentError, describe } from '../core/errors.ts';
import { readImage } from '../image/input.ts';
import type { Size } from '../image/resize.ts';

const DATA_URL = /^data:[\w.+-]+\/[\w.+-]+(?:;[\w=.+-]+)*;base64,/;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}\s*$/;

/**
 * The bytes of an image.
 *
 * @param name of the field, for messages.
 * @throws TypeError or RangeError for anything but base64.
 */
export function imageBytes(value: unknown, name: string): Uint8Array {
  const text = typeof value === 'string' ? value.slice(DATA_URL.exec(value.slice(0, 256))?.[0].length ?? 0) : '';
  if (BASE64.test(text)) return Buffer.from(text, 'base64');
  const isText = typeof value === 'string';
  const isAddress = isText && /^\s*\w+:\/\//.test(value.slice(0, 32));
  const remedy = isAddress ? { remedy: 'This server opens no addresses: send the bytes of the image' } : {};
  const received = isAddress ? 'an address' : describe(value);
  const code = isText ? 'ERR_INVALID_ARG_VALUE' : 'ERR_INVALID_ARG_TYPE';
  throw argumentError([{ name, expected: 'an image as base64 or a data URL', received, code, ...remedy }]);
}

/**
 * The size of an image that can be read.
 *
 * @throws DiffusionError as {@link readImage} does.
 */
export async function sizeOfImage(bytes: Uint8Array, name: string, maxPixels: number): Promise<Size> {
  const { width, height } = await readImage(bytes, name, maxPixels);
  return { width, height };
}
