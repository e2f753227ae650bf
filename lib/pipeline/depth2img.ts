// Depth to image: a picture is drawn anew with its depth kept, with models made for that.

import { depthOfLatent, nearnessOf } from '../picture/depth.ts';
import { readPicture } from '../picture/input.ts';
import { toGray } from '../picture/pixels.ts';
import type { CheckedDepth2ImgOptions } from './depth2img-options.ts';
import { encodePicture } from './encode.ts';
import type { Task } from './generation.ts';
import type { ModelLimits } from './generation-options.ts';
import { readSized } from './img2img.ts';
import { fromNoise, fromPicture, withBeside } from './start.ts';

/**
 * The work of a depth-to-image call: it starts as image to image does, and the UNet sees the depth beside the latent.
 *
 * @throws as {@link readSized}.
 */
export async function depth2img(options: CheckedDepth2ImgOptions, limits: ModelLimits): Promise<Task> {
  const { strength } = options;
  const [{ picture, size, placement, original }, depth] = await Promise.all([
    readSized(options, limits),
    readPicture(options.depth, 'depth').then(toGray),
  ]);
  const cells = await depthOfLatent(nearnessOf(depth), original, placement, limits.vaeScaleFactor);
  return {
    size,
    begin: async (networks) => {
      const begin = strength === 1 ? fromNoise : fromPicture(await encodePicture(networks, picture), strength);
      return withBeside(begin, cells);
    },
    parameters: { strength },
  };
}
