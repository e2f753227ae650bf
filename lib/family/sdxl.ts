// Stable Diffusion XL.

import { clip } from '../conditioning/clip.ts';
import { DIFFUSION } from './diffusion.ts';
import type { Family } from './family.ts';
import { XL_LATENT } from './latent-formats.ts';

export const sdxl: Family = {
  ...DIFFUSION,
  name: 'sdxl',
  latent: XL_LATENT,
  side: () => 1024,
  // Zeros as it was trained, and as in diffusers and stable-diffusion.cpp.
  text: clip({ tokenizers: ['tokenizer', 'tokenizer_2'], zeroEmptyNegative: true }),
  options: ['originalSize', 'cropTopLeft', 'targetSize'],
  // Original size, upper left corner of the crop, target size (Podell et al. 2023, arXiv:2307.01952, section 2.2);
  // heights before widths.
  vector({ originalSize, cropTopLeft, targetSize }, size) {
    const [original, target] = [originalSize ?? size, targetSize ?? size];
    const { top, left } = cropTopLeft;
    const numbers = [original.height, original.width, top, left, target.height, target.width];
    return { conditional: numbers, unconditional: numbers };
  },
};
