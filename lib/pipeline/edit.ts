// Editing a picture by an instruction, with models made for that (InstructPix2Pix, Brooks et al. 2022, arXiv:2211.09800).

import type { CheckedEditOptions } from './edit-options.ts';
import { encodePicture } from './encode.ts';
import type { Task } from './generation.ts';
import type { ModelLimits } from './generation-options.ts';
import { readSized } from './img2img.ts';
import { fromNoise, meanLatent, withBeside } from './start.ts';

/**
 * The work of an edit: it starts from noise, and the UNet sees the picture beside the latent.
 *
 * @throws as {@link readSized}.
 */
export async function edit(options: CheckedEditOptions, limits: ModelLimits): Promise<Task> {
  const { picture, size } = await readSized(options, limits);
  return {
    size,
    begin: async (networks) => withBeside(fromNoise, meanLatent(await encodePicture(networks, picture))),
    parameters: { imageCfgScale: options.imageCfgScale },
  };
}
