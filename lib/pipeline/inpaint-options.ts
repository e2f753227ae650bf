// The options of an inpainting call.

import { checkImage, type ImageInput } from '../image/input.ts';
import { OptionCheck } from '../options/check.ts';
import type { ModelLimits } from './generation-options.ts';
import {
  type CheckedImg2ImgOptions,
  checkOptionsOfImg2Img,
  IMG2IMG_OPTIONS,
  type Img2ImgOptions,
} from './img2img-options.ts';
import { MASKED_CONTENTS, type MaskedContent } from './initial-latents.ts';

/** Options of {@link Model.inpaint}. */
export interface InpaintOptions extends Img2ImgOptions {
  /**
   * What to draw anew: white is drawn, black stays, gray is blended. Colours count by their luma, what is transparent counts as
   * black. A mask of another size is stretched to that of the image.
   */
  mask: ImageInput;
  /** As of `img2img`, for what the mask covers. At 1 the rest is still the image's. Default 0.75. */
  strength?: number | undefined;
  /** Whether black is drawn and white stays. Default false. */
  invertMask?: boolean | undefined;
  /**
   * Softness of the mask's edge: standard deviation of a Gaussian blur in pixels of `image`, 0 to 64. Default 0, which leaves
   * every pixel outside the mask as it is.
   */
  maskBlur?: number | undefined;
  /**
   * What the masked part holds before noise is added: the image itself (`original`, default), the colours around it (`fill`),
   * noise (`noise`) or zeros (`nothing`) in the latent. By diffusers' convention it has no effect at a strength of 1.
   */
  maskedContent?: MaskedContent | undefined;
  /**
   * Draws the masked region alone, at `width` x `height` (default: the model's), and puts it back into the image, which keeps its
   * own size; `resizeMode` has no effect. The number is how many pixels of `image` around the mask are drawn along, 0 to 4096.
   * Default: the whole image is drawn.
   */
  paddingMaskCrop?: number | undefined;
}

/** The options of one call with every default filled in, known to be right. */
export interface CheckedInpaintOptions extends CheckedImg2ImgOptions {
  readonly mask: ImageInput;
  readonly invertMask: boolean;
  readonly maskBlur: number;
  readonly maskedContent: MaskedContent;
  readonly paddingMaskCrop: number | undefined;
}

const KNOWN: readonly (keyof InpaintOptions)[] = [
  ...IMG2IMG_OPTIONS,
  'mask',
  'invertMask',
  'maskBlur',
  'maskedContent',
  'paddingMaskCrop',
];

const MAX_BLUR = 64;
const MAX_PADDING = 4096;

/**
 * Checks the options of a call, as far as that goes without reading image and mask.
 *
 * @throws TypeError or RangeError with every problem that was found.
 */
export function checkInpaintOptions(options: unknown, limits: ModelLimits): CheckedInpaintOptions {
  const check = new OptionCheck(options, KNOWN);
  const padded = check.value('paddingMaskCrop') !== undefined;
  const shared = checkOptionsOfImg2Img(check, limits);
  const checked = {
    ...shared,
    mask: checkImage(check, 'mask', shared.maxPixels),
    invertMask: check.boolean('invertMask', false),
    maskBlur: check.number('maskBlur', 0, { min: 0, max: MAX_BLUR }),
    maskedContent: check.name('maskedContent', 'original', MASKED_CONTENTS),
    paddingMaskCrop: padded
      ? check.number('paddingMaskCrop', 0, { min: 0, max: MAX_PADDING, integer: true })
      : undefined,
  };
  check.done();
  return checked;
}
