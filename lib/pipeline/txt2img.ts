// Text to image.

import type { Task } from './generation.ts';
import { fromNoise } from './start.ts';
import type { CheckedTxt2ImgOptions } from './txt2img-options.ts';

/** The work of a text-to-image call: it starts from noise alone. */
export async function txt2img({ width, height }: CheckedTxt2ImgOptions): Promise<Task> {
  return { size: { width, height }, begin: async () => fromNoise };
}
