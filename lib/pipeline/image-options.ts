// The options of an image to start from, which several ways of drawing share, and the size that they give it.

import { checkImage, type ImageInput } from '../image/input.ts';
import { RESIZE_MODES, type ResizeMode, type Size } from '../image/resize.ts';
import { OptionCheck } from '../options/check.ts';
import {
  type CheckedGenerationOptions,
  checkGenerationOptions,
  GENERATION_OPTIONS,
  type GenerationOptions,
  type ModelLimits,
} from './generation-options.ts';
import { checkPixels, checkSides } from './side-options.ts';

/** Options of every call that starts from an image. */
export interface ImageOptions extends GenerationOptions {
  /** The image to start from. What is transparent in it shows white. */
  image: ImageInput;
  /**
   * Size that is drawn, in pixels, within the limits of `txt2img`. Default: that of the image, rounded down to multiples of
   * the model's VAE factor (8); where one side is given, the other follows the image's proportions.
   */
  width?: number | undefined;
  height?: number | undefined;
  /**
   * What becomes of an image of another size. `fill` (default) keeps its proportions and cuts off what goes over; `fit` keeps
   * all of it and repeats its border around it; `stretch` changes its proportions; `none` refuses it. Images are scaled with
   * Lanczos's filter.
   */
  resizeMode?: ResizeMode | undefined;
}

/** The options of one call with every default filled in, known to be right. */
export interface CheckedImageOptions extends CheckedGenerationOptions {
  readonly image: ImageInput;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly resizeMode: ResizeMode;
}

/** The names of the options. */
export const IMAGE_OPTIONS: readonly (keyof ImageOptions)[] = [
  ...GENERATION_OPTIONS,
  'image',
  'width',
  'height',
  'resizeMode',
];

/** Checks the options of a call that starts from an image, as far as that goes without reading it; problems stay with `check`. */
export function checkImageOptions(check: OptionCheck, limits: ModelLimits): CheckedImageOptions {
  const { width, height } = checkSides(check, limits.vaeScaleFactor, { width: undefined, height: undefined });
  const shared = checkGenerationOptions(check, limits);
  const checked = {
    ...shared,
    image: checkImage(check, 'image', shared.maxPixels),
    width,
    height,
    resizeMode: check.name('resizeMode', 'fill', RESIZE_MODES),
  };
  if (width !== undefined && height !== undefined) checkPixels(check, width, height, checked.batchSize);
  return checked;
}

/**
 * The size at which an image is drawn.
 *
 * @param factor sides are multiples of it.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` where it is too large, or other than the image's and none may be.
 */
export function sizeOf(image: Size, options: CheckedImageOptions, factor: number): Size {
  const { width, height, batchSize, resizeMode } = options;
  const multiple = (side: number) => Math.max(Math.floor(side / factor), 1) * factor;
  const size = {
    width: width ?? multiple(height === undefined ? image.width : (height * image.width) / image.height),
    height: height ?? multiple(width === undefined ? image.height : (width * image.height) / image.width),
  };
  const check = new OptionCheck({}, []);
  checkPixels(check, size.width, size.height, batchSize);
  if (resizeMode === 'none' && (size.width !== image.width || size.height !== image.height)) {
    const expected = `an image of ${size.width} x ${size.height}, since it may not be resized,`;
    const remedy = `Sides are multiples of ${factor}, and any size does where it may`;
    check.problem({ name: 'image', expected, received: `${image.width} x ${image.height}`, remedy });
  }
  check.done();
  return size;
}
