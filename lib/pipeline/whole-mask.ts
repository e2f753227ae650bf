// Drawing a whole picture with a model for inpainting: it is shown that everything is masked.

import type { NativeModelInfo } from '../native/contract.ts';
import type { Size } from '../picture/resize.ts';
import { encodePlanes } from './encode.ts';
import { companionOf } from './fit.ts';
import { DEFAULT_CONVENTION } from './img2img-options.ts';
import type { Networks } from './networks.ts';
import { type Begin, besideMaskedPicture, type Convention, type Posterior } from './start.ts';

/** Whether a model is one for inpainting, whose UNet sees a mask and the masked picture. */
export function seesMask(info: NativeModelInfo): boolean {
  return companionOf(info) === 'mask';
}

/**
 * Starts as {@link besideMaskedPicture} does where all is masked: of the picture nothing but gray is seen.
 *
 * @param from the picture to start from; undefined for text alone.
 */
export async function besideWholeMask(
  networks: Networks,
  size: Size,
  from?: { posterior: Posterior; strength: number; convention: Convention },
): Promise<Begin> {
  const { vaeScaleFactor: factor } = networks.info;
  const pixels = size.width * size.height;
  const gray = await encodePlanes(networks, new Float32Array(3 * pixels), size);
  const { posterior, strength = 1, convention = DEFAULT_CONVENTION } = from ?? {};
  const mask = new Uint8Array(pixels / factor ** 2).fill(1);
  return besideMaskedPicture(posterior, gray, {
    ...{ strength, convention, mask, width: size.width / factor, content: 'original' },
  });
}
