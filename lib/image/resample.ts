// Resizing and blurring with separable filters.

import { eachRow, isTurnOver, nextTurn } from '../async/slices.ts';
import type { Pixels } from './pixels.ts';

/** A part of an image in pixels, which may be fractional. */
export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A filter: its weight at a distance, and the distance from which it is 0; in pixels of the coarser image. */
export interface Kernel {
  readonly radius: number;
  weight(distance: number): number;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** Lanczos's filter with three lobes, for images. */
export const lanczos3: Kernel = { radius: 3, weight: (x) => sinc(x) * sinc(x / 3) };

/**
 * Cubic convolution (Keys 1981), with Pillow's and MATLAB's coefficient: for networks trained on images resized with
 * it.
 */
export const cubic: Kernel = {
  radius: 2,
  weight: (distance) => {
    const x = Math.abs(distance);
    return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2;
  },
};

/** Linear interpolation, for masks: it does not overshoot. */
export const triangle: Kernel = { radius: 1, weight: (x) => 1 - Math.abs(x) };

/** Gaussian blur with a standard deviation above 0, cut off at three of them. */
export function gaussian(deviation: number): Kernel {
  return { radius: 3 * deviation, weight: (x) => Math.exp((-x * x) / (2 * deviation * deviation)) };
}

/**
 * Resamples a rectangle of an image. When it shrinks, the filter widens by the same factor, so that every pixel counts
 * (the rule of Pillow's `resize`; results agree within one level). At the image border the filter is cut off and its
 * weights are renormalized to sum to 1.
 */
export async function resample(
  source: Pixels,
  from: Rectangle,
  width: number,
  height: number,
  kernel: Kernel,
): Promise<Pixels> {
  if (width < from.width && height > from.height) {
    // Rows are mixed first below, which would produce many rows with all the columns that are then dropped.
    const narrow = await resample(source, { ...from, y: 0, height: source.height }, width, source.height, kernel);
    return resample(narrow, { ...from, x: 0, width }, width, height, kernel);
  }
  const { channels } = source;
  const columns = await tapsOf(from.x, from.width, width, source.width, kernel);
  const rows = await tapsOf(from.y, from.height, height, source.height, kernel);
  const [left, right] = reach(columns);
  const mixed = new Float64Array((right - left) * channels);
  // Clamped arrays clamp and round by themselves.
  const data = new Uint8ClampedArray(height * width * channels);
  for (const [y, { first, weights }] of rows.entries()) {
    mixed.fill(0);
    for (let k = 0; k < weights.length; k++) {
      if (isTurnOver()) await nextTurn();
      const row = (first + k) * source.width;
      addRow(mixed, source.data.subarray((row + left) * channels, (row + right) * channels), weights[k] as number);
    }
    const target = data.subarray(y * width * channels, (y + 1) * width * channels);
    for (let x = 0; x < width; x += COLUMNS_AT_A_TIME) {
      if (isTurnOver()) await nextTurn();
      mixColumns(mixed, left, columns, channels, target, x, Math.min(x + COLUMNS_AT_A_TIME, width));
    }
  }
  return { width, height, channels, data: new Uint8Array(data.buffer) };
}

/** Columns of a row mixed between two checks of the clock. */
const COLUMNS_AT_A_TIME = 4096;

function addRow(mixed: Float64Array, row: Uint8Array, weight: number): void {
  for (let i = 0; i < mixed.length; i++) mixed[i] = (mixed[i] as number) + weight * (row[i] as number);
}

/**
 * Computes the columns from `begin` to `end` of a row.
 *
 * @param mixed the source row, from column `left` on.
 */
function mixColumns(
  mixed: Float64Array,
  left: number,
  columns: readonly Taps[],
  channels: number,
  target: Uint8ClampedArray,
  begin: number,
  end: number,
): void {
  for (let x = begin; x < end; x++) {
    const { first, weights } = columns[x] as Taps;
    for (let channel = 0; channel < channels; channel++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) {
        sum += (weights[k] as number) * (mixed[(first - left + k) * channels + channel] as number);
      }
      target[x * channels + channel] = sum;
    }
  }
}

/** The pixels that contribute to one pixel: `weights[k]` of pixel `first + k`. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

/** The pixels used by any of the taps, end exclusive. */
function reach(taps: readonly Taps[]): [first: number, end: number] {
  const last = taps.at(-1) as Taps;
  return [(taps[0] as Taps).first, last.first + last.weights.length];
}

/** The taps of `count` pixels that share `length` pixels from `start` on, out of `limit`. */
async function tapsOf(
  start: number,
  length: number,
  count: number,
  limit: number,
  { radius, weight }: Kernel,
): Promise<Taps[]> {
  const step = length / count;
  const widening = Math.max(step, 1);
  const taps: Taps[] = [];
  let last: (Taps & { readonly center: number }) | undefined;
  await eachRow(count, (i) => {
    const center = start + (i + 0.5) * step;
    const first = Math.max(Math.trunc(center - radius * widening + 0.5), 0);
    const end = Math.min(Math.trunc(center + radius * widening + 0.5), limit);
    // Without scaling, as in a blur, all but those at the border are alike.
    const alike = last && first - center === last.first - last.center && end - first === last.weights.length;
    const weights = alike && last ? last.weights : weightsOf(end - first, first + 0.5 - center, widening, weight);
    last = { first, weights, center };
    taps.push(last);
  });
  return taps;
}

/** The weights of `count` pixels in a row, the first of which is at a distance from the center; they sum to 1. */
function weightsOf(count: number, distance: number, widening: number, weight: Kernel['weight']): Float64Array {
  const weights = Float64Array.from({ length: count }, (_, k) => weight((k + distance) / widening));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((value) => value / sum);
}
