// How far an answer is from the one that was expected.

import assert from 'node:assert/strict';

/** Largest difference, as a share of the largest expected magnitude; infinite where a number is not finite. */
export function largestError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let magnitude = 0;
  for (let i = 0; i < expected.length; i++) {
    const distance = Math.abs((actual[i] as number) - (expected[i] as number));
    if (!Number.isFinite(distance)) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, distance);
    magnitude = Math.max(magnitude, Math.abs(expected[i] as number));
  }
  return difference / magnitude;
}

/** Euclidean length of the difference, as a share of that of the expected numbers. */
export function meanError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let length = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += ((actual[i] as number) - (expected[i] as number)) ** 2;
    length += (expected[i] as number) ** 2;
  }
  return Math.sqrt(difference / length);
}

/** Asserts that both errors are at most `tolerance`. */
export function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-4): void {
  assert.equal(actual.length, expected.length, 'the number of values');
  for (const error of [largestError(actual, expected), meanError(actual, expected)]) {
    assert.ok(
      error <= tolerance,
      `a relative error of at most ${tolerance} was expected, it is ${error.toExponential(2)}`,
    );
  }
}

/** Peak signal-to-noise ratio in decibels of numbers that span `peak`. */
export function psnr(actual: ArrayLike<number>, expected: ArrayLike<number>, peak: number): number {
  assert.equal(actual.length, expected.length, 'the number of values');
  let squares = 0;
  for (let i = 0; i < expected.length; i++) squares += ((actual[i] as number) - (expected[i] as number)) ** 2;
  return 10 * Math.log10(peak ** 2 / (squares / expected.length));
}
