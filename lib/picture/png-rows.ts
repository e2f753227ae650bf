// The rows of a PNG to pixels: filters, interlacing, bit depths and colour types (PNG specification, sections 7 to 9, 11.3.1).

import type { Pixels } from './pixels.ts';
import { eachRow } from './slices.ts';

/** What the chunks of a file say of its pixels. */
export interface PngImage {
  readonly width: number;
  readonly height: number;
  /** Bits of a sample. */
  readonly depth: number;
  /** 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGB and alpha. */
  readonly colorType: number;
  /** Samples of a pixel. */
  readonly channels: number;
  readonly interlaced: boolean;
  /** RGB of each index. */
  readonly palette: Uint8Array | undefined;
  /** Alpha of each index, or the colour that is transparent, 16 bits a sample. */
  readonly transparency: Uint8Array | undefined;
}

/** Samples of a pixel by colour type. */
export const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** A picture of every `stepX`-th pixel of every `stepY`-th row. */
interface Pass {
  readonly x: number;
  readonly y: number;
  readonly stepX: number;
  readonly stepY: number;
}

/** Adam7. */
const PASSES: readonly Pass[] = [
  { x: 0, y: 0, stepX: 8, stepY: 8 },
  { x: 4, y: 0, stepX: 8, stepY: 8 },
  { x: 0, y: 4, stepX: 4, stepY: 8 },
  { x: 2, y: 0, stepX: 4, stepY: 4 },
  { x: 0, y: 2, stepX: 2, stepY: 4 },
  { x: 1, y: 0, stepX: 2, stepY: 2 },
  { x: 0, y: 1, stepX: 1, stepY: 2 },
];
const WHOLE: readonly Pass[] = [{ x: 0, y: 0, stepX: 1, stepY: 1 }];

/** The passes of a picture, with the columns, the rows and the bytes of a row of each; none that are empty. */
function passesOf({ width, height, depth, channels, interlaced }: PngImage) {
  return (interlaced ? PASSES : WHOLE)
    .map((pass) => {
      const columns = Math.ceil((width - pass.x) / pass.stepX);
      const rows = Math.ceil((height - pass.y) / pass.stepY);
      return { ...pass, columns, rows, rowBytes: Math.ceil((columns * channels * depth) / 8) };
    })
    .filter(({ columns, rows }) => columns > 0 && rows > 0);
}

/** Bytes of all rows, each with its filter in front. */
export function inflatedLength(image: PngImage): number {
  return passesOf(image).reduce((sum, { rows, rowBytes }) => sum + rows * (1 + rowBytes), 0);
}

/**
 * @param rows {@link inflatedLength} bytes, which are written to.
 * @param fail makes the error for what the rows should not hold.
 * @returns RGBA.
 */
export async function toRgba(image: PngImage, rows: Uint8Array, fail: (reason: string) => Error): Promise<Pixels> {
  const { width, height, depth, channels } = image;
  const data = new Uint8Array(4 * width * height);
  const distance = Math.max((channels * depth) / 8, 1);
  const paint = painterOf(image, data, fail);
  let offset = 0;
  for (const { x, y, stepX, stepY, columns, rows: count, rowBytes } of passesOf(image)) {
    let above: Uint8Array = new Uint8Array(rowBytes);
    await eachRow(count, 16 * rowBytes + 16 * columns, (row) => {
      const filter = rows[offset] as number;
      const line = rows.subarray(offset + 1, offset + 1 + rowBytes);
      if (filter > 4) throw fail(`row ${row} has the unknown filter ${filter}`);
      unfilter(filter, line, above, distance);
      const first = (y + row * stepY) * width + x;
      for (let column = 0; column < columns; column++) paint(line, column, 4 * (first + column * stepX));
      above = line;
      offset += 1 + rowBytes;
    });
  }
  return { width, height, channels: 4, data };
}

/** Adds to each byte what its filter predicts of it from the bytes before and above. */
function unfilter(filter: number, line: Uint8Array, above: Uint8Array, distance: number): void {
  if (filter === 0) return;
  for (let i = 0; i < line.length; i++) {
    const left = i >= distance ? (line[i - distance] as number) : 0;
    const up = above[i] as number;
    const corner = i >= distance ? (above[i - distance] as number) : 0;
    const predicted =
      filter === 1 ? left : filter === 2 ? up : filter === 3 ? (left + up) >> 1 : paeth(left, up, corner);
    line[i] = (line[i] as number) + predicted;
  }
}

function paeth(left: number, up: number, corner: number): number {
  const estimate = left + up - corner;
  const [a, b, c] = [Math.abs(estimate - left), Math.abs(estimate - up), Math.abs(estimate - corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** Writes one pixel of a line into RGBA. */
type Paint = (line: Uint8Array, column: number, target: number) => void;

function painterOf(image: PngImage, data: Uint8Array, fail: (reason: string) => Error): Paint {
  const { depth, colorType, channels, palette, transparency } = image;
  const peak = 2 ** depth - 1;
  if (colorType === 3) {
    return (line, column, target) => {
      const index = sample(line, column, depth);
      if (!palette || 3 * index + 2 >= palette.length) throw fail(`it uses colour ${index}, which its palette lacks`);
      for (let k = 0; k < 3; k++) data[target + k] = palette[3 * index + k] as number;
      data[target + 3] = transparency?.[index] ?? 255;
    };
  }
  const colors = channels > 2 ? 3 : 1;
  const transparent =
    channels === colors && transparency && transparency.length >= 2 * colors ? transparency : undefined;
  return (line, column, target) => {
    let isTransparent = transparent !== undefined;
    for (let k = 0; k < 3; k++) {
      const channel = Math.min(k, colors - 1);
      const value = sample(line, column * channels + channel, depth);
      data[target + k] = Math.round((value * 255) / peak);
      if (transparent && value !== sample(transparent, channel, 16)) isTransparent = false;
    }
    const alpha = channels > colors ? (sample(line, column * channels + colors, depth) * 255) / peak : 255;
    data[target + 3] = isTransparent ? 0 : Math.round(alpha);
  };
}

/** The `index`-th sample of a line, the first in the upper bits. */
function sample(line: Uint8Array, index: number, depth: number): number {
  if (depth === 8) return line[index] as number;
  if (depth === 16) return ((line[2 * index] as number) << 8) | (line[2 * index + 1] as number);
  const bit = index * depth;
  return ((line[bit >> 3] as number) >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
}
