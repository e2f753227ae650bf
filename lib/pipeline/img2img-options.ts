// The options of an image-to-image call.

import { OptionCheck } from '../options.ts';
import type { ModelLimits } from './generation-options.ts';
import {
  type CheckedPictureOptions,
  checkPictureOptions,
  PICTURE_OPTIONS,
  type PictureOptions,
} from './picture-options.ts';
import { CONVENTIONS, type Convention } from './start.ts';

/** Options of {@link Model.img2img}. */
export interface Img2ImgOptions extends PictureOptions {
  /**
   * How much is drawn anew, 0 to 1: the share of the steps that is taken, from the noise level at which they begin. 0 takes none and
   * gives the picture as the VAE renders it; at 1 all steps are taken, and as the first noise level is high but finite, a trace of
   * the picture is left. Default 0.75.
   */
  strength?: number | undefined;
  /**
   * Whose rules hold where a picture is the start, so that a seed gives the picture that it gives there.
   * `webui` (default): AUTOMATIC1111's web UI and stable-diffusion.cpp. The noise is the seed's first draw, as for text alone, and the
   * last `floor(steps x strength) + 1` steps are taken, at most all. What a mask leaves is kept after each evaluation.
   * `diffusers`: the VAE's sample of the picture is the first draw and the noise the next; the last `floor(steps x strength)` steps
   * are taken, and at least one. Inpainting also keeps the rest before each evaluation, but not with models made for it, and starts
   * from pure noise at a strength of 1.
   */
  convention?: Convention | undefined;
}

/** The options of one call with every default filled in, known to be right. */
export interface CheckedImg2ImgOptions extends CheckedPictureOptions {
  readonly strength: number;
  readonly convention: Convention;
}

/** The names of the options. */
export const IMG2IMG_OPTIONS: readonly (keyof Img2ImgOptions)[] = [...PICTURE_OPTIONS, 'strength', 'convention'];

/** That of the programs that most pictures come from. */
export const DEFAULT_CONVENTION: Convention = 'webui';

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
    convention: check.name('convention', DEFAULT_CONVENTION, CONVENTIONS),
  };
}
