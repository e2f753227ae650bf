// Depth to image: regenerates an image and keeps its depth, with depth models.

import { DepthMap } from '../depth/depth-map.ts';
import type { DepthSource } from '../depth/depth-source.ts';
import { depthOfLatent, type Nearness, nearnessOf } from '../depth/latent-depth.ts';
import { type ImageInput, readImage } from '../image/input.ts';
import { toGray } from '../image/pixels.ts';
import type { CheckedOptions } from '../task/check.ts';
import type { ModelLimits } from '../task/task.ts';
import type { Task } from './generation.ts';
import { readSized } from './img2img.ts';
import { fromImage, withConcatChannels } from './initial-latents.ts';
import { encodeImage } from './latents.ts';

/**
 * Prepares a depth-to-image call. It starts like image to image, and the UNet takes the depth in addition to the
 * latent.
 *
 * @param source estimates depth if none is given.
 * @throws as {@link readSized} and {@link DepthSource.estimator}.
 */
export async function depth2img(
  { depth, ...options }: CheckedOptions<'depth2img'>,
  limits: ModelLimits,
  source: DepthSource,
): Promise<Task> {
  const { strength, convention } = options;
  const [{ image, size, placement, original }, given] = await Promise.all([
    readSized(options, limits),
    depth && readNearness(depth, options.maxPixels),
  ]);
  const estimator = given ? undefined : await source.estimator();
  return {
    size,
    initialLatents: async (networks) => {
      const nearness = given ?? (await estimator?.nearness(original, networks.signal));
      const cells = await depthOfLatent(nearness as Nearness, original, placement, limits.vaeScaleFactor);
      return withConcatChannels(fromImage(await encodeImage(networks, image), strength, convention), cells);
    },
  };
}

async function readNearness(depth: ImageInput | DepthMap, maxPixels: number): Promise<Nearness> {
  return DepthMap.is(depth) ? depth : nearnessOf(await toGray(await readImage(depth, 'depth', maxPixels)));
}
