// Text to image.

import type { CheckedOptions } from '../task/check.ts';
import type { Task } from './generation.ts';
import { checkHiresUpscaler } from './hires.ts';
import { fromNoise } from './initial-latents.ts';
import { concatWholeMask, seesMask } from './whole-mask.ts';

/** Prepares a text-to-image call. It starts from pure noise. An inpainting model gets a mask that covers everything. */
export async function txt2img({ width, height, hires }: CheckedOptions<'txt2img'>): Promise<Task> {
  const size = { width, height };
  if (hires) await checkHiresUpscaler(hires);
  return {
    size,
    initialLatents: async (networks) => (seesMask(networks.info) ? concatWholeMask(networks, size) : fromNoise),
    ...(hires && { hires }),
  };
}
