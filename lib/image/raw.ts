// Raw pixels given by users.

import { types } from 'node:util';
import { eachRow } from '../async/slices.ts';
import { argumentError, describe } from '../core/errors.ts';
import { memberOf } from '../options/check.ts';
import { fitsLimits, MAX_IMAGE_SIDE } from './limits.ts';
import type { Pixels } from './pixels.ts';

/** Pixels in memory, in sRGB. */
export interface RawImage {
  /** Size in pixels, 1 to 65,536, and at most `maxPixels` pixels in all. */
  readonly width: number;
  readonly height: number;
  /**
   * `[height, width, channels]`: gray, RGB, or RGB and alpha, depending on its length. Bytes are 0..255, 16-bit
   * integers 0..65535, floats 0..1; alpha is not premultiplied. Copied when the call is made.
   */
  readonly data: Uint8Array | Uint8ClampedArray | Uint16Array | Float32Array;
}

/**
 * How each data type is recognized, and its largest value. Not by class: in a DOM environment, a vm context or another
 * frame there are different classes of the same name.
 */
const TYPES = [
  [types.isUint8Array, 255],
  [types.isUint8ClampedArray, 255],
  [types.isUint16Array, 65535],
  [types.isFloat32Array, 1],
] as const;

/**
 * @returns the image as it was when it was checked.
 * @throws TypeError or RangeError if the sizes and the data type are not those of an image.
 */
export function checkRawImage(image: RawImage, name: string, maxPixels: number): RawImage {
  const [width, height, data] = (['width', 'height', 'data'] as const).map((key) =>
    memberOf(image, key, `${name}.${key}`),
  ) as [number, number, RawImage['data']];
  for (const [key, side] of Object.entries({ width, height })) {
    if (Number.isInteger(side) && side >= 1 && side <= MAX_IMAGE_SIDE) continue;
    const expected = `an integer from 1 to ${MAX_IMAGE_SIDE}`;
    throw problem(`${name}.${key}`, expected, describe(side), typeof side === 'number');
  }
  if (!fitsLimits(width, height, maxPixels)) {
    throw problem(name, `at most ${maxPixels} pixels (maxPixels)`, `${width} x ${height}`, true);
  }
  if (peakOf(data) === undefined) {
    const expected = 'a Uint8Array, Uint8ClampedArray, Uint16Array or Float32Array';
    throw problem(`${name}.data`, expected, describe(data), false);
  }
  if ([1, 3, 4].includes(data.length / (width * height))) return { width, height, data };
  const expected = `1, 3 or 4 numbers for each of ${width} x ${height} pixels`;
  throw problem(`${name}.data`, expected, `${data.length} numbers`, true);
}

/**
 * @param image one that {@link checkRawImage} accepted; its data is copied before the call returns.
 * @returns RGBA.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for floats outside 0 to 1.
 */
export async function rawPixels({ width, height, data }: RawImage, name: string): Promise<Pixels> {
  // A Buffer's own slice would be a view.
  const values = types.isUint8Array(data) ? new Uint8Array(data) : data.slice();
  const channels = values.length / (width * height);
  const scale = 255 / (peakOf(values) as number);
  const rgba = new Uint8Array(4 * width * height);
  await eachRow(height, (row) => {
    for (let i = row * width; i < (row + 1) * width; i++) {
      for (let channel = 0; channel < 4; channel++) {
        const index = channels * i + (channels === 1 ? 0 : channel);
        const isOpaque = channel === 3 && channels < 4;
        const value = isOpaque ? 255 : (values[index] as number) * scale;
        if (!(value >= 0 && value <= 255)) {
          throw problem(`${name}.data`, 'finite numbers from 0 to 1', `${values[index]} at index ${index}`, true);
        }
        rgba[4 * i + channel] = Math.round(value);
      }
    }
  });
  return { width, height, channels: 4, data: rgba };
}

function peakOf(data: unknown): number | undefined {
  return TYPES.find(([isOfType]) => isOfType(data))?.[1];
}

function problem(name: string, expected: string, received: string, ofValue: boolean): Error {
  const code = ofValue ? 'ERR_INVALID_ARG_VALUE' : 'ERR_INVALID_ARG_TYPE';
  return argumentError([{ name, expected, received, code }]);
}
