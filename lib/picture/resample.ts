// Changing the number of pixels, and blurring: separable filters.

import type { Pixels } from './pixels.ts';
import { eachRow } from './slices.ts';

/** A part of a picture in pixels, which need not be whole. */
export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A filter: its weight at a distance, and the distance from which on it is 0; in pixels of the coarser picture. */
export interface Kernel {
  readonly radius: number;
  weight(distance: number): number;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** Lanczos's filter with three lobes, for pictures. */
export const lanczos3: Kernel = { radius: 3, weight: (x) => sinc(x) * sinc(x / 3) };

/** Cubic convolution (Keys 1981), with Pillow's and MATLAB's coefficient: for pictures that networks were trained on so. */
export const cubic: Kernel = {
  radius: 2,
  weight: (distance) => {
    const x = Math.abs(distance);
    return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2;
  },
};

/** Linear interpolation, for masks: it does not overshoot. */
export const triangle: Kernel = { radius: 1, weight: (x) => 1 - Math.abs(x) };

/** Gaussian blur of a standard deviation above 0, cut off at three of them. */
export function gaussian(deviation: number): Kernel {
  return { radius: 3 * deviation, weight: (x) => Math.exp((-x * x) / (2 * deviation * deviation)) };
}

/**
 * Samples a rectangle of a picture anew. Where it shrinks, the filter widens by as much, so that every pixel counts (the rule
 * of Pillow's `resize`, whose results this gives within a level). At the border of the picture the filter is cut off and its
 * weights are made to sum to 1 again.
 */
export async function resample(
  source: Pixels,
  from: Rectangle,
  width: number,
  height: number,
  kernel: Kernel,
): Promise<Pixels> {
  const { channels } = source;
  const columns = tapsOf(from.x, from.width, width, source.width, kernel);
  const rows = tapsOf(from.y, from.height, height, source.height, kernel);
  const top = (rows[0] as Taps).first;
  const last = rows.at(-1) as Taps;
  const rowsNeeded = last.first + last.weights.length - top;
  const rowLength = channels * width;

  const squeezed = new Float32Array(rowsNeeded * rowLength);
  const tapsOfRow = columns.reduce((sum, { weights }) => sum + weights.length, 0);
  await eachRow(rowsNeeded, channels * tapsOfRow, (row) => {
    const line = source.data.subarray((top + row) * source.width * channels, (top + row + 1) * source.width * channels);
    const target = squeezed.subarray(row * rowLength, (row + 1) * rowLength);
    for (let x = 0; x < width; x++) {
      const { first, weights } = columns[x] as Taps;
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) {
          sum += (weights[k] as number) * (line[(first + k) * channels + channel] as number);
        }
        target[x * channels + channel] = sum;
      }
    }
  });

  // Clamped arrays clamp and round on their own.
  const data = new Uint8ClampedArray(height * rowLength);
  await eachRow(height, rowLength * (rows[0] as Taps).weights.length, (y) => {
    const { first, weights } = rows[y] as Taps;
    const start = (first - top) * rowLength;
    for (let i = 0; i < rowLength; i++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) {
        sum += (weights[k] as number) * (squeezed[start + k * rowLength + i] as number);
      }
      data[y * rowLength + i] = sum;
    }
  });
  return { width, height, channels, data: new Uint8Array(data.buffer) };
}

/** The pixels that one pixel is made of: `weights[k]` of pixel `first + k`. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

/** The taps of `count` pixels that share `length` pixels from `start` on; of `limit` pixels there are. */
function tapsOf(start: number, length: number, count: number, limit: number, { radius, weight }: Kernel): Taps[] {
  const step = length / count;
  const widening = Math.max(step, 1);
  return Array.from({ length: count }, (_, i) => {
    const center = start + (i + 0.5) * step;
    const first = Math.max(Math.trunc(center - radius * widening + 0.5), 0);
    const end = Math.min(Math.trunc(center + radius * widening + 0.5), limit);
    const weights = Float64Array.from({ length: end - first }, (_, k) => weight((first + k + 0.5 - center) / widening));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((value) => value / sum) };
  });
}
