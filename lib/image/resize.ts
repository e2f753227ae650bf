// Fits an image of any size into the generated size.

import { eachRow } from '../async/slices.ts';
import type { Pixels } from './pixels.ts';
import { type Kernel, type Rectangle, resample } from './resample.ts';

/** How an image is resized: see `Img2ImgOptions.resizeMode`. */
export type ResizeMode = 'fill' | 'fit' | 'stretch' | 'none';

/** The names, in the order in which users see them. */
export const RESIZE_MODES: readonly ResizeMode[] = ['fill', 'fit', 'stretch', 'none'];

/** A size in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Which part of an image goes where. */
export interface Placement {
  /** In pixels of the image. */
  readonly from: Rectangle;
  /** In integer pixels of the target; around it the border is repeated. */
  readonly to: Rectangle;
  readonly target: Size;
}

/** Places an image in a target, in integer pixels as in diffusers. `none` requires equal sizes. */
export function place({ width, height }: Size, target: Size, mode: ResizeMode): Placement {
  const whole = { x: 0, y: 0, width: target.width, height: target.height };
  if (mode === 'stretch' || mode === 'none') return { from: { x: 0, y: 0, width, height }, to: whole, target };
  // The image at the target's width, or at its height: the larger of the two fills the target, the smaller fits into
  // it.
  const byWidth = target.width * height > target.height * width === (mode === 'fill');
  const scaled = byWidth
    ? { width: target.width, height: Math.max(Math.floor((target.width * height) / width), 1) }
    : { width: Math.max(Math.floor((target.height * width) / height), 1), height: target.height };
  const x = Math.floor(target.width / 2) - Math.floor(scaled.width / 2);
  const y = Math.floor(target.height / 2) - Math.floor(scaled.height / 2);
  if (mode === 'fit') return { from: { x: 0, y: 0, width, height }, to: { x, y, ...scaled }, target };
  const [across, down] = [width / scaled.width, height / scaled.height];
  return {
    from: { x: -x * across, y: -y * down, width: target.width * across, height: target.height * down },
    to: whole,
    target,
  };
}

/** Resizes an image to the size of a target. An image that already has it is returned unchanged. */
export async function resize(image: Pixels, { from, to, target }: Placement, kernel: Kernel): Promise<Pixels> {
  const isWhole = from.width === image.width && from.height === image.height;
  const keepsSize = to.width === image.width && to.height === image.height;
  const inner = isWhole && keepsSize ? image : await resample(image, from, to.width, to.height, kernel);
  const fills = to.width === target.width && to.height === target.height;
  return fills ? inner : repeatBorder(inner, to, target);
}

/** Puts an image at its place in a larger one and repeats its border pixels around it. */
async function repeatBorder({ width, height, channels, data }: Pixels, to: Rectangle, target: Size): Promise<Pixels> {
  const large = new Uint8Array(channels * target.width * target.height);
  await eachRow(target.height, (y) => {
    const row = Math.min(Math.max(y - to.y, 0), height - 1) * width;
    for (let x = 0; x < target.width; x++) {
      const pixel = channels * (row + Math.min(Math.max(x - to.x, 0), width - 1));
      for (let channel = 0; channel < channels; channel++) {
        large[channels * (y * target.width + x) + channel] = data[pixel + channel] as number;
      }
    }
  });
  return { width: target.width, height: target.height, channels, data: large };
}
