// The options of a call that keeps the depth of a picture.

import { OptionCheck } from '../options.ts';
import { checkPicture, type PictureInput } from '../picture/input.ts';
import type { ModelLimits } from './generation-options.ts';
import {
  type CheckedImg2ImgOptions,
  checkOptionsOfImg2Img,
  IMG2IMG_OPTIONS,
  type Img2ImgOptions,
} from './img2img-options.ts';

/** Options of {@link Model.depth2img}. */
export interface Depth2ImgOptions extends Img2ImgOptions {
  /**
   * How near everything in `image` is: white is near, black is far. A picture of another size is stretched to that of `image`.
   */
  depth: PictureInput;
}

/** The options of one call with every default filled in, known to be right. */
export interface CheckedDepth2ImgOptions extends CheckedImg2ImgOptions {
  readonly depth: PictureInput;
}

const KNOWN: readonly (keyof Depth2ImgOptions)[] = [...IMG2IMG_OPTIONS, 'depth'];

/**
 * Checks the options of a call, as far as that goes without reading the pictures.
 *
 * @throws TypeError or RangeError with every problem that was found.
 */
export function checkDepth2ImgOptions(options: unknown, limits: ModelLimits): CheckedDepth2ImgOptions {
  const check = new OptionCheck(options, KNOWN);
  const checked = { ...checkOptionsOfImg2Img(check, limits), depth: checkPicture(check, 'depth') };
  check.done();
  return checked;
}
