// Generates a whole image with an inpainting model: its mask covers everything.

import type { Size } from '../image/resize.ts';
import type { LoadedModelInfo } from '../native/contract.ts';
import type { Networks } from '../native/networks.ts';
import { type Convention, DEFAULT_CONVENTION } from '../task/image-rows.ts';
import { concatConditioningOf } from './fit.ts';
import { concatMaskedImage, type MakeInitialLatents } from './initial-latents.ts';
import { encodePlanes, type Posterior } from './latents.ts';

/** Whether a model is an inpainting model, whose UNet takes a mask and the masked image. */
export function seesMask(info: LoadedModelInfo): boolean {
  return concatConditioningOf(info) === 'mask';
}

/**
 * Initial latents as of {@link concatMaskedImage} with a mask that covers everything, so that the masked image is all
 * gray.
 *
 * @param from the image to start from; undefined for txt2img.
 */
export async function concatWholeMask(
  networks: Networks,
  size: Size,
  from?: { posterior: Posterior; strength: number; convention: Convention },
): Promise<MakeInitialLatents> {
  const { vaeScaleFactor: factor } = networks.info;
  const pixels = size.width * size.height;
  const gray = await encodePlanes(networks, new Float32Array(3 * pixels), size);
  const { posterior, strength = 1, convention = DEFAULT_CONVENTION } = from ?? {};
  const mask = new Uint8Array(pixels / factor ** 2).fill(1);
  return concatMaskedImage(posterior, gray, {
    ...{ strength, convention, mask, width: size.width / factor, content: 'original' },
  });
}
