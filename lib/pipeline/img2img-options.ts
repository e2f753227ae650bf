// The options of an image-to-image call.

import { OptionCheck } from '../options/check.ts';
import type { ModelLimits } from './generation-options.ts';
import { type CheckedImageOptions, checkImageOptions, IMAGE_OPTIONS, type ImageOptions } from './image-options.ts';
import { CONVENTIONS, type Convention } from './initial-latents.ts';

/** Options of {@link Model.img2img}. */
export interface Img2ImgOptions extends ImageOptions {
  /**
   * How much is drawn anew, 0 to 1: the share of the steps that is taken, from the noise level at which they begin. 0 takes none and
   * gives the image as the VAE renders it; at 1 all steps are taken, and as the first noise level is high but finite, a trace of
   * the image is left. Default 0.75.
   */
  strength?: number | undefined;
  /**
   * Whose rules hold where an image is the start, so that a seed gives the image that it gives there.
   * `webui` (default): AUTOMATIC1111's web UI and stable-diffusion.cpp. The noise is the seed's first draw, as for text alone, and the
   * last `floor(steps x strength) + 1` steps are taken, at most all. What a mask leaves is kept after each evaluation.
   * `diffusers`: the VAE's sample of the image is the first draw and the noise the next; the last `floor(steps x strength)` steps
   * are taken, and at least one. Inpainting also keeps the rest before each evaluation, but not with models made for it, and starts
   * from pure noise at a strength of 1.
   */
  convention?: Convention | undefined;
}

/** The options of one call with every default filled in, known to be right. */
export interface CheckedImg2ImgOptions extends CheckedImageOptions {
  readonly strength: number;
  readonly convention: Convention;
}

/** The names of the options. */
export const IMG2IMG_OPTIONS: readonly (keyof Img2ImgOptions)[] = [...IMAGE_OPTIONS, 'strength', 'convention'];

/** That of the programs that most images come from. */
export const DEFAULT_CONVENTION: Convention = 'webui';

/**
 * Checks the options of a call, as far as that goes without reading the image.
 *
 * @throws TypeError or RangeError with every problem that was found.
 */
export function checkImg2ImgOptions(options: unknown, limits: ModelLimits): CheckedImg2ImgOptions {
  const check = new OptionCheck(options, IMG2IMG_OPTIONS);
  const checked = checkOptionsOfImg2Img(check, limits);
  check.done();
  return checked;
}

/** Checks the options of a call that draws an image anew; problems stay with `check`. */
export function checkOptionsOfImg2Img(check: OptionCheck, limits: ModelLimits): CheckedImg2ImgOptions {
  return {
    ...checkImageOptions(check, limits),
    strength: check.number('strength', 0.75, { min: 0, max: 1 }),
    convention: check.name('convention', DEFAULT_CONVENTION, CONVENTIONS),
  };
}
