// Stable Diffusion 1.x.

import { DIFFUSION } from './diffusion.ts';
import type { Family, LatentFormat } from './family.ts';

/**
 * The latents of Stable Diffusion 1 and 2: the scale brings them near unit variance (Rombach et al. 2022, arXiv:2112.10752, appendix D.1).
 * With the projection that ComfyUI and stable-diffusion.cpp publish.
 */
export const SD1_LATENT: LatentFormat = {
  scale: 0.18215,
  shift: 0,
  projection: [
    [0.3512, 0.2297, 0.3227],
    [0.325, 0.4974, 0.235],
    [-0.2829, 0.1762, 0.2721],
    [-0.212, -0.2616, -0.7177],
    [0, 0, 0],
  ],
};

export const sd1: Family = {
  ...DIFFUSION,
  name: 'sd1',
  latent: SD1_LATENT,
  side: () => 512,
  tokenizers: ['tokenizer'],
  zeroEmptyNegative: false,
  options: [],
};
