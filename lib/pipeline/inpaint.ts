// Inpainting: a part of an image is regenerated, the rest stays as it is.

import { argumentError } from '../core/errors.ts';
import { fillMasked } from '../image/fill.ts';
import { readImage } from '../image/input.ts';
import { blend, fitMask, hideMasked, latentMask, maskedRegion, soften } from '../image/mask.ts';
import { crop, type Pixels, toGray, toPlanes, toRgb } from '../image/pixels.ts';
import { lanczos3, resample, triangle } from '../image/resample.ts';
import { place, resize } from '../image/resize.ts';
import type { Networks } from '../native/networks.ts';
import { type CheckedOptions, sizeOf } from '../task/check.ts';
import type { ModelLimits } from '../task/task.ts';
import type { Task } from './generation.ts';
import { concatMaskedImage, fromMaskedImage, type MakeInitialLatents } from './initial-latents.ts';
import { encodeImage, encodePlanes } from './latents.ts';
import { seesMask } from './whole-mask.ts';

/** An image and its mask, of one size: RGB and gray. */
interface Masked {
  readonly image: Pixels;
  /** With hard edges: selects the latent cells that are regenerated. */
  readonly mask: Pixels;
  /** With soft edges: blends the result into the image. */
  readonly soft: Pixels;
}

/** The part of an image that is generated, and how it is put back. */
interface Scene {
  readonly image: Pixels;
  readonly mask: Pixels;
  finish(generated: Pixels): Promise<Pixels>;
  /** The region of the whole image; undefined if it is the whole image. */
  readonly part?: Task['part'];
}

/**
 * Prepares an inpainting call: reads image and mask, and crops or resizes the part that is generated.
 *
 * @throws DiffusionError, RangeError as {@link readImage} and {@link sizeOf}; RangeError for an empty mask.
 */
export async function inpaint(options: CheckedOptions<'inpaint'>, limits: ModelLimits): Promise<Task> {
  const { maskBlur, paddingMaskCrop } = options;
  const [image, gray] = await Promise.all([
    readImage(options.image, 'image', options.maxPixels).then(toRgb),
    readImage(options.mask, 'mask', options.maxPixels).then(toGray),
  ]);
  const mask = await fitMask(gray, image, options.invertMask);
  const createScene = paddingMaskCrop === undefined ? wholeScene : regionScene;
  const scene = await createScene({ image, mask, soft: await soften(mask, maskBlur) }, options, limits);
  const cells = await latentMask(scene.mask, limits.vaeScaleFactor);
  if (!cells.includes(1)) throw emptyMask();
  return {
    size: { width: scene.image.width, height: scene.image.height },
    initialLatents: (networks) => maskedInitialLatents(networks, options, scene, cells),
    finish: scene.finish,
    ...(scene.part ? { part: scene.part } : {}),
  };
}

async function maskedInitialLatents(
  networks: Networks,
  { strength, convention, maskedContent: content }: CheckedOptions<'inpaint'>,
  { image, mask }: Scene,
  cells: Uint8Array,
): Promise<MakeInitialLatents> {
  const start = { strength, convention, content, mask: cells, width: image.width / networks.info.vaeScaleFactor };
  const encoded = async () => encodeImage(networks, content === 'fill' ? await fillMasked(image, mask) : image);
  if (!seesMask(networks.info)) return fromMaskedImage(await encoded(), start);
  const isPureNoise = convention === 'diffusers' && strength === 1;
  const posterior = isPureNoise ? undefined : await encoded();
  const masked = await encodePlanes(networks, await hideMasked(await toPlanes(image), mask), image);
  return concatMaskedImage(posterior, masked, start);
}

/** Generates the full image; the result has the generated size. */
async function wholeScene(
  { image, mask, soft }: Masked,
  options: CheckedOptions<'inpaint'>,
  limits: ModelLimits,
): Promise<Scene> {
  const placement = place(image, sizeOf(image, options, limits.sideMultiple), options.resizeMode);
  const resized = await resize(image, placement, lanczos3);
  const resizedSoft = await resize(soft, placement, triangle);
  const whole = { x: 0, y: 0, width: resized.width, height: resized.height };
  return {
    image: resized,
    mask: await resize(mask, placement, triangle),
    finish: (generated) => blend(resized, generated, resizedSoft, whole),
  };
}

/** Generates the region around the mask at a size of its own and puts it back into the image. */
async function regionScene(
  { image, mask, soft }: Masked,
  options: CheckedOptions<'inpaint'>,
  limits: ModelLimits,
): Promise<Scene> {
  const size = sizeOf(limits, { ...options, resizeMode: 'fit' }, limits.sideMultiple);
  const region = await maskedRegion(soft, options.paddingMaskCrop as number, size);
  if (!region) throw emptyMask();
  const placement = place(region, size, 'fit');
  return {
    part: { of: { width: image.width, height: image.height }, region },
    image: await resize(await crop(image, region), placement, lanczos3),
    mask: await resize(await crop(mask, region), placement, triangle),
    finish: async (generated) => {
      const { width, height } = region;
      return blend(image, await resample(generated, placement.to, width, height, lanczos3), soft, region);
    },
  };
}

function emptyMask(): Error {
  const expected = 'a mask with a part to regenerate, at least half white';
  const remedy = 'Black is kept; an inverted mask regenerates what is black';
  return argumentError([{ name: 'mask', expected, received: 'none', remedy, code: 'ERR_INVALID_ARG_VALUE' }]);
}
