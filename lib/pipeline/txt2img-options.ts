// The options of a text-to-image call.

import { OptionCheck } from '../options/check.ts';
import {
  type CheckedGenerationOptions,
  checkGenerationOptions,
  GENERATION_OPTIONS,
  type GenerationOptions,
  type ModelLimits,
} from './generation-options.ts';
import { type CheckedHires, checkHires, type HiresOptions } from './hires-options.ts';
import { checkPixels, checkSides } from './side-options.ts';

/** Options of {@link Model.txt2img}. */
export interface Txt2ImgOptions extends GenerationOptions {
  /**
   * Size in pixels: multiples of the model's VAE factor (8), at most 16,384 a side and 2^26 in all images of the batch.
   * Default: the size that the model's file names, otherwise 512.
   */
  width?: number | undefined;
  height?: number | undefined;
  /**
   * A second pass over the image, enlarged: the first settles what is where at the size that the model was trained for, the second
   * draws the detail of the large image. True for the defaults. Default false.
   */
  hires?: boolean | HiresOptions | undefined;
}

/** The options of one call with every default filled in, known to be right. */
export interface CheckedTxt2ImgOptions extends CheckedGenerationOptions {
  readonly width: number;
  readonly height: number;
  readonly hires: CheckedHires | undefined;
}

/**
 * Checks the options of a call.
 *
 * @throws TypeError or RangeError with every problem that was found.
 */
export function checkTxt2ImgOptions(options: unknown, limits: ModelLimits): CheckedTxt2ImgOptions {
  const check = new OptionCheck(options, [...GENERATION_OPTIONS, 'width', 'height', 'hires']);
  const size = checkSides(check, limits.vaeScaleFactor, limits);
  const shared = checkGenerationOptions(check, limits);
  const checked = { ...shared, ...size, hires: checkHires(check, limits, { ...shared, ...size }) };
  checkPixels(check, size.width, size.height, checked.batchSize);
  check.done();
  return checked;
}
