// The refiner of Stable Diffusion XL: only the second text encoder, and an aesthetic score in place of the target size.

import { clip } from '../conditioning/clip.ts';
import { DIFFUSION } from './diffusion.ts';
import type { Family } from './family.ts';
import { XL_LATENT } from './latent-formats.ts';

export const sdxlRefiner: Family = {
  ...DIFFUSION,
  name: 'sdxl-refiner',
  latent: XL_LATENT,
  side: () => 1024,
  text: clip({ tokenizers: ['tokenizer_2'] }),
  options: ['originalSize', 'cropTopLeft', 'aestheticScore', 'negativeAestheticScore'],
  vector({ originalSize, cropTopLeft, aestheticScore, negativeAestheticScore }, size) {
    const original = originalSize ?? size;
    const common = [original.height, original.width, cropTopLeft.top, cropTopLeft.left];
    return { conditional: [...common, aestheticScore], unconditional: [...common, negativeAestheticScore] };
  },
};
