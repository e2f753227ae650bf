// Inpainting: a part of a picture is drawn anew, the rest stays as it is.

import { argumentError } from '../errors.ts';
import { fillMasked } from '../picture/fill.ts';
import { readPicture } from '../picture/input.ts';
import { blend, fitMask, hideMasked, latentMask, maskedRegion, soften } from '../picture/mask.ts';
import { crop, type Pixels, toGray, toPlanes, toRgb } from '../picture/pixels.ts';
import { lanczos3, resample, triangle } from '../picture/resample.ts';
import { place, resize } from '../picture/resize.ts';
import { encodePicture, encodePlanes } from './encode.ts';
import type { Task } from './generation.ts';
import type { ModelLimits } from './generation-options.ts';
import { pictureParameters } from './img2img.ts';
import type { CheckedInpaintOptions } from './inpaint-options.ts';
import type { Networks } from './networks.ts';
import { sizeOf } from './picture-options.ts';
import { type Begin, besideMaskedPicture, fromMaskedPicture } from './start.ts';
import { seesMask } from './whole-mask.ts';

/** A picture and its mask, of one size: RGB and gray. */
interface Masked {
  readonly picture: Pixels;
  /** With edges as they are, which says what is drawn. */
  readonly mask: Pixels;
  /** With soft edges, which says what is seen of it. */
  readonly soft: Pixels;
}

/** What is drawn of a picture, and how it gets back. */
interface Scene {
  readonly picture: Pixels;
  readonly mask: Pixels;
  finish(drawn: Pixels): Promise<Pixels>;
  /** The part of the whole picture that it is, where it is a part. */
  readonly part?: Task['part'];
}

/**
 * The work of an inpainting call: reads picture and mask and cuts out or resizes what is drawn.
 *
 * @throws DiffusionError, RangeError as {@link readPicture} and {@link sizeOf}; RangeError for a mask that covers nothing.
 */
export async function inpaint(options: CheckedInpaintOptions, limits: ModelLimits): Promise<Task> {
  const { maskBlur, maskedContent, paddingMaskCrop } = options;
  const [picture, gray] = await Promise.all([
    readPicture(options.image, 'image', options.maxPixels).then(toRgb),
    readPicture(options.mask, 'mask', options.maxPixels).then(toGray),
  ]);
  const mask = await fitMask(gray, picture, options.invertMask);
  const scene = paddingMaskCrop === undefined ? wholeScene : regionScene;
  const drawn = await scene({ picture, mask, soft: await soften(mask, maskBlur) }, options, limits);
  const cells = await latentMask(drawn.mask, limits.vaeScaleFactor);
  if (!cells.includes(1)) throw emptyMask();
  return {
    size: { width: drawn.picture.width, height: drawn.picture.height },
    begin: (networks) => beginMasked(networks, options, drawn, cells),
    finish: drawn.finish,
    ...(drawn.part ? { part: drawn.part } : {}),
    parameters: { ...pictureParameters(options), maskBlur, maskedContent, paddingMaskCrop },
  };
}

async function beginMasked(
  networks: Networks,
  { strength, convention, maskedContent: content }: CheckedInpaintOptions,
  { picture, mask }: Scene,
  cells: Uint8Array,
): Promise<Begin> {
  const start = { strength, convention, content, mask: cells, width: picture.width / networks.info.vaeScaleFactor };
  const encoded = async () => encodePicture(networks, content === 'fill' ? await fillMasked(picture, mask) : picture);
  if (!seesMask(networks.info)) return fromMaskedPicture(await encoded(), start);
  const isPureNoise = convention === 'diffusers' && strength === 1;
  const posterior = isPureNoise ? undefined : await encoded();
  const masked = await encodePlanes(networks, await hideMasked(await toPlanes(picture), mask), picture);
  return besideMaskedPicture(posterior, masked, start);
}

/** The whole picture is drawn, and the result has the size that is drawn. */
async function wholeScene(
  { picture, mask, soft }: Masked,
  options: CheckedInpaintOptions,
  limits: ModelLimits,
): Promise<Scene> {
  const placement = place(picture, sizeOf(picture, options, limits.vaeScaleFactor), options.resizeMode);
  const resized = await resize(picture, placement, lanczos3);
  const resizedSoft = await resize(soft, placement, triangle);
  const whole = { x: 0, y: 0, width: resized.width, height: resized.height };
  return {
    picture: resized,
    mask: await resize(mask, placement, triangle),
    finish: (drawn) => blend(resized, drawn, resizedSoft, whole),
  };
}

/** The region around the mask is drawn at a size of its own, and the result is the picture with that put back. */
async function regionScene(
  { picture, mask, soft }: Masked,
  options: CheckedInpaintOptions,
  limits: ModelLimits,
): Promise<Scene> {
  const size = sizeOf(limits, { ...options, resizeMode: 'fit' }, limits.vaeScaleFactor);
  const region = await maskedRegion(soft, options.paddingMaskCrop as number, size);
  if (!region) throw emptyMask();
  const placement = place(region, size, 'fit');
  return {
    part: { of: { width: picture.width, height: picture.height }, region },
    picture: await resize(await crop(picture, region), placement, lanczos3),
    mask: await resize(await crop(mask, region), placement, triangle),
    finish: async (drawn) => {
      const { width, height } = region;
      return blend(picture, await resample(drawn, placement.to, width, height, lanczos3), soft, region);
    },
  };
}

function emptyMask(): Error {
  const expected = 'a mask with something to draw, white of at least a half';
  const remedy = 'Black stays; an inverted mask draws what is black';
  return argumentError([{ name: 'mask', expected, received: 'none', remedy, code: 'ERR_INVALID_ARG_VALUE' }]);
}
