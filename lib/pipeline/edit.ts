// Edits an image by an instruction, with editing models (InstructPix2Pix, Brooks et al. 2022, arXiv:2211.09800).

import type { CheckedOptions } from '../task/check.ts';
import type { ModelLimits } from '../task/task.ts';
import type { Task } from './generation.ts';
import { readSized } from './img2img.ts';
import { fromNoise, withConcatChannels } from './initial-latents.ts';
import { encodeImage, meanLatent } from './latents.ts';

/**
 * Prepares an edit. It starts from pure noise, and the UNet takes the image in addition to the latent.
 *
 * @throws as {@link readSized}.
 */
export async function edit(options: CheckedOptions<'edit'>, limits: ModelLimits): Promise<Task> {
  const { image, size } = await readSized(options, limits);
  return {
    size,
    initialLatents: async (networks) => withConcatChannels(fromNoise, meanLatent(await encodeImage(networks, image))),
  };
}
