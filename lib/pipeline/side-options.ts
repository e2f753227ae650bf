// The sides of an image that is drawn.

import type { OptionCheck } from '../options/check.ts';

const MAX_SIDE = 16_384;
const MAX_PIXELS = 2 ** 26;

/** Checks `width` and `height`; each is the fallback where it is not given. */
export function checkSides<T extends number | undefined>(
  check: OptionCheck,
  factor: number,
  fallback: { readonly width: T; readonly height: T },
): { width: number | T; height: number | T } {
  const side = (name: 'width' | 'height') =>
    check.value(name) === undefined ? fallback[name] : checkSide(check, name, factor);
  return { width: side('width'), height: side('height') };
}

/** Checks that the images of a batch are not too large together, and none of them on its own. */
export function checkPixels(check: OptionCheck, width: number, height: number, batchSize: number): void {
  const tooLong = Math.max(width, height) > MAX_SIDE;
  if (!tooLong && width * height * batchSize <= MAX_PIXELS) return;
  const expected = tooLong ? `at most ${MAX_SIDE} pixels a side` : `at most ${MAX_PIXELS} pixels in all`;
  check.problem({ name: 'width x height x batchSize', expected, received: `${width} x ${height} x ${batchSize}` });
}

function checkSide(check: OptionCheck, name: 'width' | 'height', factor: number): number {
  const side = check.number(name, factor, { min: factor, max: MAX_SIDE, integer: true });
  if (side % factor === 0) return side;
  const below = side - (side % factor);
  const remedy = `The nearest are ${below} and ${below + factor}`;
  check.problem({ name, expected: `a multiple of ${factor}`, received: String(side), remedy });
  return below;
}
