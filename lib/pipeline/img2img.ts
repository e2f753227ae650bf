// Image to image.

import type { GenerationParameters } from '../image/parameters.ts';
import { readPicture } from '../picture/input.ts';
import { type Pixels, toRgb } from '../picture/pixels.ts';
import { lanczos3 } from '../picture/resample.ts';
import { type Placement, place, resize, type Size } from '../picture/resize.ts';
import { encodePicture } from './encode.ts';
import type { Task } from './generation.ts';
import type { ModelLimits } from './generation-options.ts';
import { type CheckedImg2ImgOptions, DEFAULT_CONVENTION } from './img2img-options.ts';
import { type CheckedPictureOptions, sizeOf } from './picture-options.ts';
import { fromPicture } from './start.ts';
import { besideWholeMask, seesMask } from './whole-mask.ts';

/**
 * The work of an image-to-image call. A model for inpainting is shown a picture of which everything is masked.
 *
 * @throws as {@link readSized}.
 */
export async function img2img(options: CheckedImg2ImgOptions, limits: ModelLimits): Promise<Task> {
  const { strength, convention } = options;
  const { picture, size } = await readSized(options, limits);
  return {
    size,
    begin: async (networks) => {
      const posterior = await encodePicture(networks, picture);
      if (seesMask(networks.info)) return besideWholeMask(networks, size, { posterior, strength, convention });
      return fromPicture(posterior, strength, convention);
    },
    parameters: pictureParameters(options),
  };
}

/** Generation parameters of every call that draws a picture anew. */
export function pictureParameters({ strength, convention }: CheckedImg2ImgOptions): Partial<GenerationParameters> {
  return { strength, convention: convention === DEFAULT_CONVENTION ? undefined : convention };
}

/** A picture at the size that is drawn, how it got there, and what it was. */
export interface SizedPicture {
  readonly picture: Pixels;
  readonly size: Size;
  readonly placement: Placement;
  readonly original: Pixels;
}

/**
 * Reads the picture of a call and brings it to the size that is drawn.
 *
 * @throws DiffusionError, RangeError as {@link readPicture} and {@link sizeOf}.
 */
export async function readSized(options: CheckedPictureOptions, limits: ModelLimits): Promise<SizedPicture> {
  const original = await toRgb(await readPicture(options.image, 'image', options.maxPixels));
  const size = sizeOf(original, options, limits.vaeScaleFactor);
  const placement = place(original, size, options.resizeMode);
  return { picture: await resize(original, placement, lanczos3), size, placement, original };
}
