// Image to image.

import { readImage } from '../image/input.ts';
import { type Pixels, toRgb } from '../image/pixels.ts';
import { lanczos3 } from '../image/resample.ts';
import { type Placement, place, resize, type Size } from '../image/resize.ts';
import { type CheckedOptions, sizeOf } from '../task/check.ts';
import type { ModelLimits } from '../task/task.ts';
import type { Task } from './generation.ts';
import { fromImage } from './initial-latents.ts';
import { encodeImage } from './latents.ts';
import { concatWholeMask, seesMask } from './whole-mask.ts';

/**
 * Prepares an image-to-image call. An inpainting model gets a mask that covers everything.
 *
 * @throws as {@link readSized}.
 */
export async function img2img(options: CheckedOptions<'img2img'>, limits: ModelLimits): Promise<Task> {
  const { strength, convention } = options;
  const { image, size } = await readSized(options, limits);
  return {
    size,
    initialLatents: async (networks) => {
      const posterior = await encodeImage(networks, image);
      if (seesMask(networks.info)) return concatWholeMask(networks, size, { posterior, strength, convention });
      return fromImage(posterior, strength, convention);
    },
  };
}

/** An image at the generated size, how it was resized, and the original. */
export interface SizedImage {
  readonly image: Pixels;
  readonly size: Size;
  readonly placement: Placement;
  readonly original: Pixels;
}

/**
 * Reads the image of a call and resizes it to the generated size.
 *
 * @throws DiffusionError, RangeError as {@link readImage} and {@link sizeOf}.
 */
export async function readSized(options: CheckedOptions<'img2img' | 'edit'>, limits: ModelLimits): Promise<SizedImage> {
  const original = await toRgb(await readImage(options.image, 'image', options.maxPixels));
  const size = sizeOf(original, options, limits.sideMultiple);
  const placement = place(original, size, options.resizeMode);
  return { image: await resize(original, placement, lanczos3), size, placement, original };
}
