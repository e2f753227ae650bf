// Converts the rows of a PNG to pixels: filters, interlacing, bit depths and color types (PNG specification, sections 7
// to 9, 11.3.1).

import { isTurnOver, nextTurn } from '../async/slices.ts';
import type { Pixels } from './pixels.ts';

/** What the chunks of a file say about its pixels. */
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
  /** Alpha of each index, or the color that is transparent, 16 bits per sample. */
  readonly transparency: Uint8Array | undefined;
}

/** Samples per pixel by color type. */
export const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** An image of every `stepX`-th pixel of every `stepY`-th row. */
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

/** The passes of an image, each with its columns, rows and bytes per row; empty ones are omitted. */
function passesOf({ width, height, depth, channels, interlaced }: PngImage) {
  return (interlaced ? PASSES : WHOLE)
    .map((pass) => {
      const columns = Math.ceil((width - pass.x) / pass.stepX);
      const rows = Math.ceil((height - pass.y) / pass.stepY);
      return { ...pass, columns, rows, rowBytes: Math.ceil((columns * channels * depth) / 8) };
    })
    .filter(({ columns, rows }) => columns > 0 && rows > 0);
}

/** Creates the error for invalid content. */
type Fail = (reason: string, cause?: unknown) => Error;

/**
 * Converts rows while they are inflated, so that only one is held in memory.
 *
 * @param inflated all rows, each with its filter byte first, in parts of any length.
 * @returns RGBA.
 */
export async function toRgba(image: PngImage, inflated: AsyncIterable<Uint8Array>, fail: Fail): Promise<Pixels> {
  const { width, height, depth, channels } = image;
  const data = new Uint8Array(4 * width * height);
  const passes = passesOf(image);
  const total = passes.reduce((sum, { rows, rowBytes }) => sum + rows * (1 + rowBytes), 0);
  const reader = new Reader(inflated, total, fail);
  const distance = Math.max((channels * depth) / 8, 1);
  const paint = painterOf(image, data, fail);
  for (const { x, y, stepX, stepY, columns, rows, rowBytes } of passes) {
    let [line, above] = [new Uint8Array(1 + rowBytes), new Uint8Array(1 + rowBytes)];
    for (let row = 0; row < rows; row++) {
      if (isTurnOver()) await nextTurn();
      await reader.fill(line);
      const filter = line[0] as number;
      if (filter > 4) throw fail(`row ${row} has the unknown filter ${filter}`);
      const samples = line.subarray(1);
      unfilter(filter, samples, above.subarray(1), distance);
      paint(samples, columns, 4 * ((y + row * stepY) * width + x), 4 * stepX);
      [line, above] = [above, line];
    }
  }
  await reader.end();
  return { width, height, channels: 4, data };
}

/** Bytes that arrive in parts, read in requested amounts. */
class Reader {
  readonly #parts: AsyncIterator<Uint8Array>;
  readonly #total: number;
  readonly #fail: Fail;
  #part: Uint8Array = new Uint8Array(0);
  #read = 0;

  /** @param total the expected number. */
  constructor(parts: AsyncIterable<Uint8Array>, total: number, fail: Fail) {
    this.#parts = parts[Symbol.asyncIterator]();
    this.#total = total;
    this.#fail = fail;
  }

  async fill(target: Uint8Array): Promise<void> {
    for (let filled = 0; filled < target.length; ) {
      if (this.#part.length === 0 && !(await this.#next())) {
        throw this.#fail(`it has ${this.#read} of ${this.#total} bytes of pixels`);
      }
      const some = this.#part.subarray(0, target.length - filled);
      target.set(some, filled);
      this.#part = this.#part.subarray(some.length);
      this.#read += some.length;
      filled += some.length;
    }
  }

  /** Checks that nothing is left, which also makes zlib compare the checksum. */
  async end(): Promise<void> {
    if (this.#part.length > 0 || (await this.#next())) {
      throw this.#fail(`it has more than ${this.#total} bytes of pixels`);
    }
  }

  async #next(): Promise<boolean> {
    try {
      const { done, value } = await this.#parts.next();
      this.#part = done ? this.#part : value;
      return !done;
    } catch (cause) {
      throw this.#fail((cause as Error).message, cause);
    }
  }
}

/** Reverses the filter: adds to each byte its prediction from the bytes before and above. */
function unfilter(filter: number, line: Uint8Array, above: Uint8Array, distance: number): void {
  const add = (i: number, predicted: number) => {
    line[i] = (line[i] as number) + predicted;
  };
  if (filter === 1) for (let i = distance; i < line.length; i++) add(i, line[i - distance] as number);
  else if (filter === 2) for (let i = 0; i < line.length; i++) add(i, above[i] as number);
  else if (filter === 3) {
    for (let i = 0; i < line.length; i++) {
      add(i, ((i < distance ? 0 : (line[i - distance] as number)) + (above[i] as number)) >> 1);
    }
  } else if (filter === 4) {
    for (let i = 0; i < line.length; i++) {
      if (i < distance) add(i, above[i] as number);
      else add(i, paeth(line[i - distance] as number, above[i] as number, above[i - distance] as number));
    }
  }
}

function paeth(left: number, up: number, corner: number): number {
  const a = Math.abs(up - corner);
  const b = Math.abs(left - corner);
  const c = Math.abs(left + up - 2 * corner);
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** Writes the pixels of a line into RGBA, the first at `target`, the others `step` bytes apart. */
type Paint = (line: Uint8Array, columns: number, target: number, step: number) => void;

function painterOf(image: PngImage, data: Uint8Array, fail: Fail): Paint {
  if (image.colorType === 3) return palettePainter(image, data, fail);
  return image.depth === 8 && !image.transparency ? bytePainter(image, data) : samplePainter(image, data);
}

function palettePainter({ depth, palette, transparency }: PngImage, data: Uint8Array, fail: Fail): Paint {
  const colors = (palette?.length ?? 0) / 3;
  return (line, columns, first, step) => {
    for (let column = 0, target = first; column < columns; column++, target += step) {
      const index = sample(line, column, depth);
      if (!palette || index >= colors) throw fail(`it uses color ${index}, which its palette lacks`);
      for (let k = 0; k < 3; k++) data[target + k] = palette[3 * index + k] as number;
      data[target + 3] = transparency?.[index] ?? 255;
    }
  };
}

/** For the most common formats, whose samples are plain bytes. */
function bytePainter({ channels }: PngImage, data: Uint8Array): Paint {
  const colors = channels > 2 ? 3 : 1;
  return (line, columns, first, step) => {
    for (let column = 0, target = first; column < columns; column++, target += step) {
      const source = column * channels;
      data[target] = line[source] as number;
      data[target + 1] = line[colors === 3 ? source + 1 : source] as number;
      data[target + 2] = line[colors === 3 ? source + 2 : source] as number;
      data[target + 3] = channels > colors ? (line[source + colors] as number) : 255;
    }
  };
}

function samplePainter({ depth, channels, transparency }: PngImage, data: Uint8Array): Paint {
  const peak = 2 ** depth - 1;
  const colors = channels > 2 ? 3 : 1;
  const transparent =
    channels === colors && transparency && transparency.length >= 2 * colors ? transparency : undefined;
  return (line, columns, first, step) => {
    for (let column = 0, target = first; column < columns; column++, target += step) {
      let isTransparent = transparent !== undefined;
      for (let k = 0; k < 3; k++) {
        const channel = Math.min(k, colors - 1);
        const value = sample(line, column * channels + channel, depth);
        data[target + k] = Math.round((value * 255) / peak);
        if (transparent && value !== sample(transparent, channel, 16)) isTransparent = false;
      }
      const alpha = channels > colors ? (sample(line, column * channels + colors, depth) * 255) / peak : 255;
      data[target + 3] = isTransparent ? 0 : Math.round(alpha);
    }
  };
}

/** The `index`-th sample of a line, the first in the upper bits. */
function sample(line: Uint8Array, index: number, depth: number): number {
  if (depth === 8) return line[index] as number;
  if (depth === 16) return ((line[2 * index] as number) << 8) | (line[2 * index + 1] as number);
  const bit = index * depth;
  return ((line[bit >> 3] as number) >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
}
