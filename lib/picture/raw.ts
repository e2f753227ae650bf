// Pixels that users hand over in memory.

import { argumentError, describe } from '../errors.ts';
import { MAX_PICTURE_PIXELS } from './limits.ts';
import type { Pixels } from './pixels.ts';
import { eachRow } from './slices.ts';

/** Pixels in memory, in sRGB. */
export interface RawPicture {
  /** Size in pixels, at least 1 and 2^26 pixels in all. */
  readonly width: number;
  readonly height: number;
  /**
   * `[height, width, channels]`: gray, RGB, or RGB and alpha, by its length. Bytes are 0..255, 16-bit numbers
   * 0..65535, floats 0..1; alpha is not premultiplied. Copied when the call is made.
   */
  readonly data: Uint8Array | Uint8ClampedArray | Uint16Array | Float32Array;
}

/** The largest value of each type of data. */
const PEAKS = new Map<unknown, number>([
  [Uint8Array, 255],
  [Uint8ClampedArray, 255],
  [Uint16Array, 65535],
  [Float32Array, 1],
]);

/** @throws TypeError or RangeError where the sizes and the type of the data are not those of a picture. */
export function checkRawPicture({ width, height, data }: RawPicture, name: string): void {
  for (const [key, side] of Object.entries({ width, height })) {
    if (Number.isInteger(side) && side >= 1 && side <= MAX_PICTURE_PIXELS) continue;
    throw problem(
      `${name}.${key}`,
      `an integer from 1 to ${MAX_PICTURE_PIXELS}`,
      describe(side),
      typeof side === 'number',
    );
  }
  if (width * height > MAX_PICTURE_PIXELS) {
    throw problem(name, `at most ${MAX_PICTURE_PIXELS} pixels`, `${width} x ${height}`, true);
  }
  if (peakOf(data) === undefined) {
    throw problem(
      `${name}.data`,
      'a Uint8Array, Uint8ClampedArray, Uint16Array or Float32Array',
      describe(data),
      false,
    );
  }
  if ([1, 3, 4].includes(data.length / (width * height))) return;
  const expected = `1, 3 or 4 numbers for each of ${width} x ${height} pixels`;
  throw problem(`${name}.data`, expected, `${data.length} numbers`, true);
}

/**
 * @param picture one that {@link checkRawPicture} has seen.
 * @returns RGBA.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for floats that are not from 0 to 1.
 */
export async function rawPixels({ width, height, data }: RawPicture, name: string): Promise<Pixels> {
  // A Buffer's own slice would be a view.
  const values = data instanceof Uint8Array ? new Uint8Array(data) : data.slice();
  const channels = values.length / (width * height);
  const scale = 255 / (peakOf(values) as number);
  const rgba = new Uint8Array(4 * width * height);
  await eachRow(height, 32 * width, (row) => {
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
  for (const [type, peak] of PEAKS) if (data instanceof (type as new () => object)) return peak;
  return undefined;
}

function problem(name: string, expected: string, received: string, ofValue: boolean): Error {
  const code = ofValue ? 'ERR_INVALID_ARG_VALUE' : 'ERR_INVALID_ARG_TYPE';
  return argumentError([{ name, expected, received, code }]);
}
