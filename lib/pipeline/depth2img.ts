// Depth to image: a picture is drawn anew with its depth kept, with models made for that.

import { DepthMap } from '../depth/depth-map.ts';
import type { DepthSource } from '../depth/depth-source.ts';
import { depthOfLatent, type Nearness, nearnessOf } from '../picture/depth.ts';
import { type PictureInput, readPicture } from '../picture/input.ts';
import { toGray } from '../picture/pixels.ts';
import type { CheckedDepth2ImgOptions } from './depth2img-options.ts';
import { encodePicture } from './encode.ts';
import type { Task } from './generation.ts';
import type { ModelLimits } from './generation-options.ts';
import { pictureParameters, readSized } from './img2img.ts';
import { fromPicture, withBeside } from './start.ts';

/**
 * The work of a depth-to-image call: it starts as image to image does, and the UNet sees the depth beside the latent.
 *
 * @param source estimates depth where none is given.
 * @throws as {@link readSized} and {@link DepthSource.estimator}.
 */
export async function depth2img(
  { depth, ...options }: CheckedDepth2ImgOptions,
  limits: ModelLimits,
  source: DepthSource,
): Promise<Task> {
  const { strength, convention } = options;
  const [{ picture, size, placement, original }, given] = await Promise.all([
    readSized(options, limits),
    depth && readNearness(depth, options.maxPixels),
  ]);
  const estimator = given ? undefined : await source.estimator();
  return {
    size,
    begin: async (networks) => {
      const nearness = given ?? (await estimator?.nearness(original, networks.signal));
      const cells = await depthOfLatent(nearness as Nearness, original, placement, limits.vaeScaleFactor);
      return withBeside(fromPicture(await encodePicture(networks, picture), strength, convention), cells);
    },
    parameters: pictureParameters(options),
  };
}

async function readNearness(depth: PictureInput | DepthMap, maxPixels: number): Promise<Nearness> {
  return DepthMap.is(depth) ? depth : nearnessOf(await toGray(await readPicture(depth, 'depth', maxPixels)));
}
