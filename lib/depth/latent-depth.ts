// Depth as input of networks: nearness at the size of a latent.

import { eachRow } from '../async/slices.ts';
import type { Pixels } from '../image/pixels.ts';
import type { Placement } from '../image/resize.ts';

/**
 * How near each point of an image is; larger is nearer. Only the order and the proportions of distances are meaningful.
 */
export interface Nearness {
  readonly width: number;
  readonly height: number;
  /** `[height, width]` */
  readonly data: Float32Array;
}

/** Nearness from a gray image; white is near. */
export async function nearnessOf({ width, height, data }: Pixels): Promise<Nearness> {
  const nearness = new Float32Array(data.length);
  await eachRow(height, (row) => nearness.set(data.subarray(row * width, (row + 1) * width), row * width));
  return { width, height, data: nearness };
}

/**
 * The nearness of the generated image, at latent cells.
 *
 * @param image size of the image that the nearness belongs to; the nearness itself may have another size.
 * @param placement of that image in the generated one.
 * @param factor pixels along one side of a cell.
 * @returns `[height / factor, width / factor]` from -1 to 1, far to near; 0 if everything is equally near.
 */
export async function depthOfLatent(
  nearness: Nearness,
  image: { readonly width: number; readonly height: number },
  { from, to, target }: Placement,
  factor: number,
): Promise<Float32Array> {
  // Outside the image its border is repeated, as for the image.
  const across = (nearness.width / image.width) * (from.width / to.width);
  const down = (nearness.height / image.height) * (from.height / to.height);
  const columns = await tapsOf(
    (from.x * nearness.width) / image.width - to.x * across,
    across * factor,
    target.width / factor,
    nearness.width,
  );
  const rows = await tapsOf(
    (from.y * nearness.height) / image.height - to.y * down,
    down * factor,
    target.height / factor,
    nearness.height,
  );
  const cells = await sampleCubic(nearness, columns, rows);
  return normalize(cells);
}

/** Resamples nearness to another size, bicubic like torch's `interpolate`. */
export async function resizeNearness(nearness: Nearness, width: number, height: number): Promise<Nearness> {
  const columns = await tapsOf(0, nearness.width / width, width, nearness.width);
  const rows = await tapsOf(0, nearness.height / height, height, nearness.height);
  return { width, height, data: await sampleCubic(nearness, columns, rows) };
}

/** The four values that contribute to one, by index and weight. */
interface Taps {
  readonly places: readonly number[];
  readonly weights: readonly number[];
}

/**
 * Cubic convolution (Keys 1981) with torch's and OpenCV's coefficient; the filter does not widen when the image
 * shrinks.
 */
async function tapsOf(start: number, step: number, count: number, limit: number): Promise<Taps[]> {
  const a = -0.75;
  const taps: Taps[] = [];
  await eachRow(count, (i) => {
    const center = start + (i + 0.5) * step - 0.5;
    const first = Math.floor(center) - 1;
    const places = [0, 1, 2, 3].map((k) => Math.min(Math.max(first + k, 0), limit - 1));
    const weights = [0, 1, 2, 3].map((k) => {
      const x = Math.abs(center - (first + k));
      return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
    });
    taps.push({ places, weights });
  });
  return taps;
}

async function sampleCubic(
  { width, data }: Nearness,
  columns: readonly Taps[],
  rows: readonly Taps[],
): Promise<Float32Array> {
  const result = new Float32Array(columns.length * rows.length);
  await eachRow(rows.length, (y) => {
    const row = rows[y] as Taps;
    for (const [x, column] of columns.entries()) {
      let sum = 0;
      for (let j = 0; j < 4; j++) {
        const line = (row.places[j] as number) * width;
        let part = 0;
        for (let k = 0; k < 4; k++)
          part += (column.weights[k] as number) * (data[line + (column.places[k] as number)] as number);
        sum += (row.weights[j] as number) * part;
      }
      result[y * columns.length + x] = sum;
    }
  });
  return result;
}

function normalize(values: Float32Array): Float32Array {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return min === max ? values.fill(0) : values.map((value) => (2 * (value - min)) / (max - min) - 1);
}
