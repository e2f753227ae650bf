// Tiled processing of an image: the positions of the tiles, and how to merge their results without seams.

import { eachRow } from '../async/slices.ts';
import type { Pixels } from './pixels.ts';
import type { Size } from './resize.ts';

/** The tiles along one side of an image. */
export interface TileRow {
  /** Pixels of each along that side. */
  readonly length: number;
  /** Where each begins. */
  readonly starts: readonly number[];
}

/** Divides a side into evenly spread tiles of equal length that overlap by at least the given number of pixels. */
export function tilesAlong(side: number, length: number, overlap: number): TileRow {
  if (side <= length) return { length: side, starts: [0] };
  const count = Math.ceil((side - overlap) / (length - overlap));
  return { length, starts: Array.from({ length: count }, (_, i) => Math.round((i * (side - length)) / (count - 1))) };
}

/**
 * The weight of each tile at each of its pixels: rising from its border with a neighbor to the end of their overlap.
 * The weights of all tiles at a pixel sum to 1.
 */
export function tileWeights({ length, starts }: TileRow): Float32Array[] {
  const sums = new Float32Array((starts.at(-1) as number) + length);
  const weights = starts.map((start, i) => {
    const before = i > 0 ? (starts[i - 1] as number) + length - start : 0;
    const after = i + 1 < starts.length ? start + length - (starts[i + 1] as number) : 0;
    return Float32Array.from({ length }, (_, x) => {
      const rising = before > 0 ? (x + 0.5) / before : 1;
      const falling = after > 0 ? (length - x - 0.5) / after : 1;
      return Math.min(rising, falling, 1);
    });
  });
  const each = (visit: (tile: Float32Array, x: number, at: number) => void) => {
    for (const [i, tile] of weights.entries()) {
      for (let x = 0; x < length; x++) visit(tile, x, (starts[i] as number) + x);
    }
  };
  each((tile, x, at) => {
    sums[at] = (sums[at] as number) + (tile[x] as number);
  });
  each((tile, x, at) => {
    tile[x] = (tile[x] as number) / (sums[at] as number);
  });
  return weights;
}

/**
 * Merges the output tiles of a network, one row of tiles after the other from the top, so that only one row is held in
 * floating point.
 *
 * @param compute computes the tile in that column and row: planes `[3, length of rows, length of columns]` of 0..1.
 */
export async function joinTiles(
  columns: TileRow,
  rows: TileRow,
  size: Size,
  compute: (column: number, row: number) => Promise<Float32Array>,
): Promise<Pixels> {
  const across = tileWeights(columns);
  const down = tileWeights(rows);
  const { width, height } = size;
  const data = new Uint8ClampedArray(3 * width * height);
  let band = new Float32Array(3 * width * rows.length);
  for (const [row, top] of rows.starts.entries()) {
    for (const [column, left] of columns.starts.entries()) {
      const planes = await compute(column, row);
      await addTile(band, width, left, planes, across[column] as Float32Array, down[row] as Float32Array);
    }
    const done = (rows.starts[row + 1] ?? top + rows.length) - top;
    await eachRow(Math.min(done, height - top), (y) => {
      for (let i = 3 * y * width; i < 3 * (y + 1) * width; i++) data[3 * top * width + i] = 255 * (band[i] as number);
    });
    const next = new Float32Array(band.length);
    next.set(band.subarray(3 * width * done));
    band = next;
  }
  return { width, height, channels: 3, data: new Uint8Array(data.buffer) };
}

/** Adds a weighted tile to a band of rows, `[rows, width, 3]`. Anything beyond its width is dropped. */
async function addTile(
  band: Float32Array,
  width: number,
  left: number,
  planes: Float32Array,
  across: Float32Array,
  down: Float32Array,
): Promise<void> {
  const plane = across.length * down.length;
  const columns = Math.min(across.length, width - left);
  await eachRow(down.length, (y) => {
    for (let x = 0; x < columns; x++) {
      const weight = (across[x] as number) * (down[y] as number);
      const target = 3 * (y * width + left + x);
      const source = y * across.length + x;
      for (let channel = 0; channel < 3; channel++) {
        // A network may leave the range; clamped before blending, so that one tile cannot outweigh another.
        const value = Math.min(Math.max(planes[channel * plane + source] as number, 0), 1);
        band[target + channel] = (band[target + channel] as number) + weight * value;
      }
    }
  });
}
