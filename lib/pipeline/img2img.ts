// Image to image.

import { readPicture } from '../picture/input.ts';
import { type Pixels, toPlanes, toRgb } from '../picture/pixels.ts';
import { lanczos3 } from '../picture/resample.ts';
import { place, resize } from '../picture/resize.ts';
import type { Task } from './generation.ts';
import type { ModelLimits } from './generation-options.ts';
import { type CheckedImg2ImgOptions, sizeOf } from './img2img-options.ts';
import type { Networks } from './networks.ts';
import { fromNoise, fromPicture, type Posterior } from './start.ts';

/**
 * The work of an image-to-image call: reads its picture and brings it to the size that is drawn.
 *
 * @throws DiffusionError, RangeError as {@link readPicture} and {@link sizeOf}.
 */
export async function img2img(options: CheckedImg2ImgOptions, limits: ModelLimits): Promise<Task> {
  const { image, strength, resizeMode } = options;
  const picture = await toRgb(await readPicture(image, 'image'));
  const size = sizeOf(picture, options, limits.vaeScaleFactor);
  const resized = await resize(picture, place(picture, size, resizeMode), lanczos3);
  return {
    size,
    // At a strength of 1 the picture has no part in it, and the latents are those of text alone.
    begin: async (networks) =>
      strength === 1 ? fromNoise : fromPicture(await encodePicture(networks, resized), strength),
    parameters: { strength },
  };
}

/** Runs the VAE encoder over a picture, once for all pictures of a batch. */
export async function encodePicture(networks: Networks, picture: Pixels): Promise<Posterior> {
  const moments = await networks.encode(await toPlanes(picture), [1, 3, picture.height, picture.width]);
  return { moments, scalingFactor: networks.info.scalingFactor };
}
