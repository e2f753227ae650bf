// Stable Diffusion XL.

import { DIFFUSION } from './diffusion.ts';
import type { Family, LatentFormat } from './family.ts';

/** The latents of SDXL and its refiner (Podell et al. 2023, arXiv:2307.01952), with the projection that stable-diffusion.cpp publishes. */
export const XL_LATENT: LatentFormat = {
  scale: 0.13025,
  shift: 0,
  projection: [
    [0.258303, 0.27764, 0.329699],
    [-0.299701, 0.105446, 0.014194],
    [0.050522, 0.186163, -0.143257],
    [-0.211938, -0.149892, -0.080036],
    [0.144381, -0.033313, 0.007061],
  ],
};

export const sdxl: Family = {
  ...DIFFUSION,
  name: 'sdxl',
  latent: XL_LATENT,
  side: () => 1024,
  tokenizers: ['tokenizer', 'tokenizer_2'],
  // As it was trained, and as diffusers and stable-diffusion.cpp do.
  zeroEmptyNegative: true,
  options: ['originalSize', 'cropTopLeft', 'targetSize'],
  // Original size, upper left corner of the crop, target size (Podell et al. 2023, arXiv:2307.01952, section 2.2); heights before widths.
  vector({ originalSize, cropTopLeft, targetSize }, size) {
    const [original, target] = [originalSize ?? size, targetSize ?? size];
    const { top, left } = cropTopLeft;
    const numbers = [original.height, original.width, top, left, target.height, target.width];
    return { conditional: numbers, unconditional: numbers };
  },
};
