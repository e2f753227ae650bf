// The options of a call that keeps the depth of an image.

import { DepthMap } from '../depth/depth-map.ts';
import { checkImage, type ImageInput } from '../image/input.ts';
import { OptionCheck } from '../options/check.ts';
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
   * How near everything in `image` is: a {@link DepthMap}, or an image in which white is near and black is far. One of another size is
   * stretched to that of `image`. Default: it is estimated by the network beside the model, or by `depthModel` of its source.
   */
  depth?: ImageInput | DepthMap | undefined;
}

/** The options of one call with every default filled in, known to be right. */
export interface CheckedDepth2ImgOptions extends CheckedImg2ImgOptions {
  readonly depth: ImageInput | DepthMap | undefined;
}

const KNOWN: readonly (keyof Depth2ImgOptions)[] = [...IMG2IMG_OPTIONS, 'depth'];

/**
 * Checks the options of a call, as far as that goes without reading the images.
 *
 * @throws TypeError or RangeError with every problem that was found.
 */
export function checkDepth2ImgOptions(options: unknown, limits: ModelLimits): CheckedDepth2ImgOptions {
  const check = new OptionCheck(options, KNOWN);
  const shared = checkOptionsOfImg2Img(check, limits);
  const checked = { ...shared, depth: checkDepth(check, shared.maxPixels) };
  check.done();
  return checked;
}

function checkDepth(check: OptionCheck, maxPixels: number): CheckedDepth2ImgOptions['depth'] {
  const depth = check.value('depth');
  return depth === undefined || DepthMap.is(depth) ? depth : checkImage(check, 'depth', maxPixels);
}
