// The sides of an image that is generated.

import type { OptionCheck } from '../options/check.ts';

const MAX_SIDE = 16_384;
const MAX_PIXELS = 2 ** 26;

/** Checks that the images of a batch are not too large together, and none of them on its own. */
export function checkPixels(check: OptionCheck, width: number, height: number, batchSize: number): void {
  const tooLong = Math.max(width, height) > MAX_SIDE;
  if (!tooLong && width * height * batchSize <= MAX_PIXELS) return;
  const expected = tooLong ? `at most ${MAX_SIDE} pixels a side` : `at most ${MAX_PIXELS} pixels in all`;
  check.problem({ name: 'width x height x batchSize', expected, received: `${width} x ${height} x ${batchSize}` });
}

/** A side, undefined where it is not given. */
export function checkSide(check: OptionCheck, name: 'width' | 'height', factor: number): number | undefined {
  if (check.value(name) === undefined) return undefined;
  const side = check.number(name, factor, { min: factor, max: MAX_SIDE, integer: true });
  if (side % factor === 0) return side;
  const below = side - (side % factor);
  const remedy = `The nearest are ${below} and ${below + factor}`;
  check.problem({ name, expected: `a multiple of ${factor}`, received: String(side), remedy });
  return below;
}
