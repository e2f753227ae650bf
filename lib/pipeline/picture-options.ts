// The options of a picture to start from, which several ways of drawing share, and the size that they give it.

import { OptionCheck } from '../options.ts';
import { checkPicture, type PictureInput } from '../picture/input.ts';
import { RESIZE_MODES, type ResizeMode, type Size } from '../picture/resize.ts';
import {
  type CheckedGenerationOptions,
  checkGenerationOptions,
  GENERATION_OPTIONS,
  type GenerationOptions,
  type ModelLimits,
} from './generation-options.ts';
import { checkPixels, checkSides } from './side-options.ts';

/** Options of every call that starts from a picture. */
export interface PictureOptions extends GenerationOptions {
  /** The picture to start from. What is transparent in it shows white. */
  image: PictureInput;
  /**
   * Size that is drawn, in pixels, within the limits of `txt2img`. Default: that of the picture, rounded down to multiples of
   * the model's VAE factor (8); where one side is given, the other follows the picture's proportions.
   */
  width?: number | undefined;
  height?: number | undefined;
  /**
   * What becomes of a picture of another size. `fill` (default) keeps its proportions and cuts off what goes over; `fit` keeps
   * all of it and repeats its border around it; `stretch` changes its proportions; `none` refuses it. Pictures are scaled with
   * Lanczos's filter.
   */
  resizeMode?: ResizeMode | undefined;
}

/** The options of one call with every default filled in, known to be right. */
export interface CheckedPictureOptions extends CheckedGenerationOptions {
  readonly image: PictureInput;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly resizeMode: ResizeMode;
}

/** The names of the options. */
export const PICTURE_OPTIONS: readonly (keyof PictureOptions)[] = [
  ...GENERATION_OPTIONS,
  'image',
  'width',
  'height',
  'resizeMode',
];

/** Checks the options of a call that starts from a picture, as far as that goes without reading it; problems stay with `check`. */
export function checkPictureOptions(check: OptionCheck, limits: ModelLimits): CheckedPictureOptions {
  const { width, height } = checkSides(check, limits.vaeScaleFactor, { width: undefined, height: undefined });
  const shared = checkGenerationOptions(check, limits);
  const checked = {
    ...shared,
    image: checkPicture(check, 'image', shared.maxPixels),
    width,
    height,
    resizeMode: check.name('resizeMode', 'fill', RESIZE_MODES),
  };
  if (width !== undefined && height !== undefined) checkPixels(check, width, height, checked.batchSize);
  return checked;
}

/**
 * The size at which a picture is drawn.
 *
 * @param factor sides are multiples of it.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` where it is too large, or other than the picture's and none may be.
 */
export function sizeOf(picture: Size, options: CheckedPictureOptions, factor: number): Size {
  const { width, height, batchSize, resizeMode } = options;
  const multiple = (side: number) => Math.max(Math.floor(side / factor), 1) * factor;
  const size = {
    width: width ?? multiple(height === undefined ? picture.width : (height * picture.width) / picture.height),
    height: height ?? multiple(width === undefined ? picture.height : (width * picture.height) / picture.width),
  };
  const check = new OptionCheck({}, []);
  checkPixels(check, size.width, size.height, batchSize);
  if (resizeMode === 'none' && (size.width !== picture.width || size.height !== picture.height)) {
    const expected = `a picture of ${size.width} x ${size.height}, since it may not be resized,`;
    const remedy = `Sides are multiples of ${factor}, and any size does where it may`;
    check.problem({ name: 'image', expected, received: `${picture.width} x ${picture.height}`, remedy });
  }
  check.done();
  return size;
}
