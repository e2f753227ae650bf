// Latent formats that several families share.

import type { LatentFormat } from './family.ts';

/**
 * The latents of Stable Diffusion 1 and 2: the scale brings them near unit variance (Rombach et al. 2022,
 * arXiv:2112.10752, appendix D.1). With the projection that ComfyUI and stable-diffusion.cpp publish.
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

/**
 * The latents of SDXL and its refiner (Podell et al. 2023, arXiv:2307.01952), with the projection that
 * stable-diffusion.cpp publishes.
 */
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
