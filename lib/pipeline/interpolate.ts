// Resizes latents like torch's `interpolate` with `align_corners=False`.

import { eachRow } from '../async/slices.ts';
import type { Size } from '../image/resize.ts';

/** How a latent is enlarged: by the nearest cell, or by linear or cubic interpolation of the surrounding cells. */
export type Interpolation = 'nearest' | 'bilinear' | 'bicubic';

/** The cells that contribute to one, and their weights. */
interface Tap {
  readonly cells: readonly number[];
  readonly weights: readonly number[];
}

/**
 * @param planes `[planes, from.height, from.width]`
 * @returns `[planes, to.height, to.width]`
 */
export async function interpolate(
  planes: Float32Array,
  from: Size,
  to: Size,
  interpolation: Interpolation,
): Promise<Float32Array> {
  const columns = tapsOf(from.width, to.width, interpolation);
  const rows = tapsOf(from.height, to.height, interpolation);
  const count = planes.length / (from.width * from.height);
  const result = new Float32Array(count * to.width * to.height);
  await eachRow(count * to.height, (line) => {
    const { cells: lines, weights } = rows[line % to.height] as Tap;
    const plane = Math.floor(line / to.height) * from.height;
    for (let x = 0; x < to.width; x++) {
      const column = columns[x] as Tap;
      let sum = 0;
      for (let j = 0; j < lines.length; j++) {
        const start = (plane + (lines[j] as number)) * from.width;
        for (let i = 0; i < column.cells.length; i++) {
          const value = planes[start + (column.cells[i] as number)] as number;
          sum += (weights[j] as number) * (column.weights[i] as number) * value;
        }
      }
      result[line * to.width + x] = sum;
    }
  });
  return result;
}

function tapsOf(from: number, to: number, interpolation: Interpolation): Tap[] {
  const clamp = (cell: number) => Math.min(Math.max(cell, 0), from - 1);
  return Array.from({ length: to }, (_, i) => {
    if (interpolation === 'nearest') return { cells: [clamp(Math.floor((i * from) / to))], weights: [1] };
    const position = ((i + 0.5) * from) / to - 0.5;
    if (interpolation === 'bilinear') {
      const inside = Math.max(position, 0);
      const first = Math.floor(inside);
      return { cells: [clamp(first), clamp(first + 1)], weights: [1 - (inside - first), inside - first] };
    }
    const first = Math.floor(position);
    const cells = [-1, 0, 1, 2].map((offset) => first + offset);
    return { cells: cells.map(clamp), weights: cells.map((cell) => cubic(Math.abs(position - cell))) };
  });
}

/** Cubic convolution (Keys 1981) with torch's coefficient. */
function cubic(distance: number): number {
  const a = -0.75;
  if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance ** 2 + 1;
  return (((distance - 5) * distance + 8) * distance - 4) * a;
}
