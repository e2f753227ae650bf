// The options of an image-to-image call.

import { OptionCheck } from '../options.ts';
import type { ModelLimits } from './generation-options.ts';
import {
  type CheckedPictureOptions,
  checkPictureOptions,
  PICTURE_OPTIONS,
  type PictureOptions,
} from './picture-options.ts';

/** Options of {@link Model.img2img}. */
export interface Img2ImgOptions extends PictureOptions {
  /**
   * How much is drawn anew, 0 to 1: the share of the steps that is taken, from the noise level at which they begin (as in
   * diffusers: the last `floor(steps x strength)`, and at least one). 0 takes none and gives the picture as the VAE renders it;
   * 1 starts from pure noise as text alone does, and gives the same picture as `txt2img` from the same seed. Default 0.75.
   */
  strength?: number | undefined;
}

/** The options of one call with every default filled in, known to be right. */
export interface CheckedImg2ImgOptions extends CheckedPictureOptions {
  readonly strength: number;
}

/** The names of the options. */
export const IMG2IMG_OPTIONS: readonly (keyof Img2ImgOptions)[] = [...PICTURE_OPTIONS, 'strength'];

/**
 * Checks the options of a call, as far as that goes without reading the picture.
 *
 * @throws TypeError or RangeError with every problem that was found.
 */
export function checkImg2ImgOptions(options: unknown, limits: ModelLimits): CheckedImg2ImgOptions {
  const check = new OptionCheck(options, IMG2IMG_OPTIONS);
  const checked = checkOptionsOfImg2Img(check, limits);
  check.done();
  return checked;
}

/** Checks the options of a call that draws a picture anew; problems stay with `check`. */
export function checkOptionsOfImg2Img(check: OptionCheck, limits: ModelLimits): CheckedImg2ImgOptions {
  return {
    ...checkPictureOptions(check, limits),
    strength: check.number('strength', 0.75, { min: 0, max: 1 }),
  };
}
