// Pixels in memory, and conversions between numbers of channels.

import { eachRow } from '../async/slices.ts';

/** 8-bit pixels: gray (1 channel), RGB (3) or RGB and alpha (4), in sRGB. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3 | 4;
  /** `[height, width, channels]` */
  readonly data: Uint8Array;
}

/** RGB of RGBA: transparent pixels become white, as in AUTOMATIC1111's web UI. */
export async function toRgb({ width, height, data }: Pixels): Promise<Pixels> {
  const rgb = new Uint8Array(3 * width * height);
  await eachRow(height, (row) => {
    for (let i = row * width; i < (row + 1) * width; i++) {
      const alpha = data[4 * i + 3] as number;
      for (let channel = 0; channel < 3; channel++) {
        const color = data[4 * i + channel] as number;
        rgb[3 * i + channel] = Math.round((color * alpha + 255 * (255 - alpha)) / 255);
      }
    }
  });
  return { width, height, channels: 3, data: rgb };
}

/** RGBA of RGB, fully opaque. */
export async function withAlpha({ width, height, data }: Pixels): Promise<Pixels> {
  const rgba = new Uint8Array(4 * width * height);
  await eachRow(height, (row) => {
    for (let i = row * width; i < (row + 1) * width; i++) {
      for (let channel = 0; channel < 3; channel++) rgba[4 * i + channel] = data[3 * i + channel] as number;
      rgba[4 * i + 3] = 255;
    }
  });
  return { width, height, channels: 4, data: rgba };
}

/** Luma (ITU-R BT.601) of RGBA: transparent pixels count as black. */
export async function toGray({ width, height, data }: Pixels): Promise<Pixels> {
  const gray = new Uint8Array(width * height);
  await eachRow(height, (row) => {
    for (let i = row * width; i < (row + 1) * width; i++) {
      const luma =
        0.299 * (data[4 * i] as number) + 0.587 * (data[4 * i + 1] as number) + 0.114 * (data[4 * i + 2] as number);
      gray[i] = Math.round((luma * (data[4 * i + 3] as number)) / 255);
    }
  });
  return { width, height, channels: 1, data: gray };
}

/**
 * Network input from RGB: 0..255 to `low`..1.
 *
 * @param low -1 for the VAE, or 0.
 * @returns planes `[3, height, width]`
 */
export async function toPlanes({ width, height, data }: Pixels, low: -1 | 0 = -1): Promise<Float32Array> {
  const pixels = width * height;
  const planes = new Float32Array(3 * pixels);
  const peak = 255 / (1 - low);
  await eachRow(height, (row) => {
    for (let i = row * width; i < (row + 1) * width; i++) {
      for (let channel = 0; channel < 3; channel++) {
        planes[channel * pixels + i] = (data[3 * i + channel] as number) / peak + low;
      }
    }
  });
  return planes;
}

/** A copy of a rectangle that lies within. */
export async function crop(
  { width, channels, data }: Pixels,
  region: { readonly x: number; readonly y: number; readonly width: number; readonly height: number },
): Promise<Pixels> {
  const length = channels * region.width;
  const part = new Uint8Array(length * region.height);
  await eachRow(region.height, (row) => {
    const start = channels * ((region.y + row) * width + region.x);
    part.set(data.subarray(start, start + length), row * length);
  });
  return { width: region.width, height: region.height, channels, data: part };
}
