// Masks: which part of an image is regenerated.

import { eachRow } from '../async/slices.ts';
import { crop, type Pixels } from './pixels.ts';
import { gaussian, type Rectangle, resample, triangle } from './resample.ts';
import { place, resize, type Size } from './resize.ts';

/** A pixel of this value or more is regenerated, one below is only blended (diffusers' threshold of a half). */
const THRESHOLD = 128;

/**
 * Resizes a mask to its image, and inverts it on request.
 *
 * @param mask gray, of any size; white is regenerated.
 */
export async function fitMask(mask: Pixels, image: Size, invert: boolean): Promise<Pixels> {
  const fitted = await resize(mask, place(mask, image, 'stretch'), triangle);
  return invert ? inverted(fitted) : fitted;
}

/**
 * Softens the edges of a mask.
 *
 * @param blur standard deviation in pixels; 0 leaves them unchanged.
 */
export async function soften(mask: Pixels, blur: number): Promise<Pixels> {
  const { width, height } = mask;
  if (blur === 0) return mask;
  return resample(mask, { x: 0, y: 0, width, height }, width, height, gaussian(blur));
}

async function inverted({ width, height, channels, data }: Pixels): Promise<Pixels> {
  const opposite = new Uint8Array(data.length);
  await eachRow(height, (row) => {
    for (let i = row * width; i < (row + 1) * width; i++) opposite[i] = 255 - (data[i] as number);
  });
  return { width, height, channels, data: opposite };
}

/**
 * The latent cells to regenerate: those with a pixel of at least a half, as in stable-diffusion.cpp.
 *
 * @param factor pixels along one side of a cell.
 * @returns `[height / factor, width / factor]` of 0 and 1.
 */
export async function latentMask({ width, height, data }: Pixels, factor: number): Promise<Uint8Array> {
  const columns = width / factor;
  const cells = new Uint8Array((columns * height) / factor);
  await eachRow(height, (y) => {
    const row = Math.floor(y / factor) * columns;
    for (let x = 0; x < width; x++) {
      if ((data[y * width + x] as number) >= THRESHOLD) cells[row + Math.floor(x / factor)] = 1;
    }
  });
  return cells;
}

/** Sets network input to 0, a gray, where the mask is white: the input of inpainting models. Changes `planes`. */
export async function hideMasked(planes: Float32Array, { width, height, data }: Pixels): Promise<Float32Array> {
  const pixels = width * height;
  await eachRow(height, (row) => {
    for (let i = row * width; i < (row + 1) * width; i++) {
      if ((data[i] as number) >= THRESHOLD)
        for (let start = 0; start < planes.length; start += pixels) planes[start + i] = 0;
    }
  });
  return planes;
}

/**
 * The region to generate if only the masked region is: everything that the mask covers, `padding` pixels around it, and
 * extended to the aspect ratio of `generated` within the image (the rule of AUTOMATIC1111's web UI and of diffusers).
 *
 * @returns integer pixels; undefined if the mask covers nothing.
 */
export async function maskedRegion(mask: Pixels, padding: number, generated: Size): Promise<Rectangle | undefined> {
  const box = await boundingBox(mask);
  if (!box) return undefined;
  const [left, right] = padded(box.left, box.right, padding, mask.width);
  const [top, bottom] = padded(box.top, box.bottom, padding, mask.height);
  const width = right - left;
  const height = bottom - top;
  const aspectRatio = generated.width / generated.height;
  if (width / height > aspectRatio) {
    const [y, length] = grown(top, height, Math.floor(width / aspectRatio), mask.height);
    return { x: left, y, width, height: length };
  }
  const [x, length] = grown(left, width, Math.floor(height * aspectRatio), mask.width);
  return { x, y: top, width: length, height };
}

/** Ends are exclusive. */
function padded(begin: number, end: number, padding: number, limit: number): [begin: number, end: number] {
  return [Math.max(begin - padding, 0), Math.min(end + padding, limit)];
}

/** Grows an interval on both sides, and moves it if it would leave the image. */
function grown(start: number, length: number, wanted: number, limit: number): [start: number, length: number] {
  const longer = Math.min(Math.max(wanted, length), limit);
  const moved = start - Math.floor((longer - length) / 2);
  return [Math.min(Math.max(moved, 0), limit - longer), longer];
}

/** The range where a mask is not 0; ends are exclusive. */
async function boundingBox({ width, height, data }: Pixels) {
  let [left, right, top, bottom] = [width, 0, height, 0];
  await eachRow(height, (y) => {
    const row = data.subarray(y * width, (y + 1) * width);
    const first = row.findIndex((value) => value > 0);
    if (first < 0) return;
    left = Math.min(left, first);
    right = Math.max(right, row.findLastIndex((value) => value > 0) + 1);
    top = Math.min(top, y);
    bottom = y + 1;
  });
  return right > 0 ? { left, right, top, bottom } : undefined;
}

/**
 * Blends a generated image over another one by the mask. Where the mask is 0 the image does not change at all.
 *
 * @param image RGB, not changed.
 * @param generated RGB, with the size of `region`.
 * @param mask of the size of `image`.
 */
export async function blend(image: Pixels, generated: Pixels, mask: Pixels, region: Rectangle): Promise<Pixels> {
  const { data } = await crop(image, { x: 0, y: 0, width: image.width, height: image.height });
  const weights = (await crop(mask, region)).data;
  await eachRow(region.height, (row) => {
    for (let column = 0; column < region.width; column++) {
      const i = row * region.width + column;
      const target = 3 * ((region.y + row) * image.width + region.x + column);
      const weight = (weights[i] as number) / 255;
      for (let channel = 0; channel < 3; channel++) {
        const old = data[target + channel] as number;
        data[target + channel] = Math.round(old + weight * ((generated.data[3 * i + channel] as number) - old));
      }
    }
  });
  return { ...image, data };
}
