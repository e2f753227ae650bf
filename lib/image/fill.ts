// Fills the masked part of an image with the colors around it: pull and push (Gortler et al. 1996, "The Lumigraph",
// section 3.4).

import { eachRow } from '../async/slices.ts';
import type { Pixels } from './pixels.ts';

/** Colors with a weight: how much of each is known. Premultiplied, `[height, width, 4]`. */
interface Level {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/** Gray, for an image of which nothing is known. */
const UNKNOWN = 127.5;

/**
 * Averages what is not masked over ever larger squares, and fills each hole from the smallest square with a known
 * color.
 *
 * @param mask of the image's size; what it covers partly is filled partly.
 */
export async function fillMasked(image: Pixels, mask: Pixels): Promise<Pixels> {
  const { width, height } = image;
  const levels = [await knownColors(image, mask)];
  for (let level = levels[0] as Level; level.width > 1 || level.height > 1; levels.push(level)) {
    level = await pull(level);
  }
  let filled = levels.pop() as Level;
  for (const finer of levels.reverse()) filled = await push(finer, filled);
  const data = new Uint8Array(3 * width * height);
  await eachRow(height, (row) => {
    for (let i = row * width; i < (row + 1) * width; i++) {
      const weight = filled.data[4 * i + 3] as number;
      for (let channel = 0; channel < 3; channel++) {
        const color = weight > 0 ? (filled.data[4 * i + channel] as number) / weight : UNKNOWN;
        data[3 * i + channel] = Math.round(color);
      }
    }
  });
  return { ...image, data };
}

async function knownColors({ width, height, data }: Pixels, mask: Pixels): Promise<Level> {
  const known = new Float32Array(4 * width * height);
  await eachRow(height, (row) => {
    for (let i = row * width; i < (row + 1) * width; i++) {
      const weight = 1 - (mask.data[i] as number) / 255;
      for (let channel = 0; channel < 3; channel++) {
        known[4 * i + channel] = weight * (data[3 * i + channel] as number);
      }
      known[4 * i + 3] = weight;
    }
  });
  return { width, height, data: known };
}

/** A level of half the size: sums over squares of 2x2, with a weight of at most 1. */
async function pull({ width, height, data }: Level): Promise<Level> {
  const half = { width: Math.ceil(width / 2), height: Math.ceil(height / 2) };
  const sums = new Float32Array(4 * half.width * half.height);
  await eachRow(half.height, (y) => {
    for (let x = 0; x < half.width; x++) {
      const target = 4 * (y * half.width + x);
      for (const row of [2 * y, Math.min(2 * y + 1, height - 1)]) {
        for (const column of [2 * x, Math.min(2 * x + 1, width - 1)]) {
          for (let k = 0; k < 4; k++)
            sums[target + k] = (sums[target + k] as number) + (data[4 * (row * width + column) + k] as number);
        }
      }
      const excess = Math.max(sums[target + 3] as number, 1);
      for (let k = 0; k < 4; k++) sums[target + k] = (sums[target + k] as number) / excess;
    }
  });
  return { ...half, data: sums };
}

/** Adds to a level what it does not know, interpolated linearly from the coarser one. */
async function push({ width, height, data }: Level, coarse: Level): Promise<Level> {
  const filled = data.slice();
  await eachRow(height, (y) => {
    const [top, bottom, down] = neighbors(y, coarse.height);
    for (let x = 0; x < width; x++) {
      const target = 4 * (y * width + x);
      const missing = 1 - (data[target + 3] as number);
      if (missing <= 0) continue;
      const [left, right, across] = neighbors(x, coarse.width);
      for (let k = 0; k < 4; k++) {
        const at = (row: number, column: number) => coarse.data[4 * (row * coarse.width + column) + k] as number;
        const above = (1 - across) * at(top, left) + across * at(top, right);
        const below = (1 - across) * at(bottom, left) + across * at(bottom, right);
        filled[target + k] = (filled[target + k] as number) + missing * ((1 - down) * above + down * below);
      }
    }
  });
  return { width, height, data: filled };
}

/** The two coarse pixels around a fine one, and the weight of the second. */
function neighbors(fine: number, limit: number): [first: number, second: number, share: number] {
  const position = (fine - 0.5) / 2;
  const first = Math.floor(position);
  return [Math.max(first, 0), Math.min(first + 1, limit - 1), position - first];
}
