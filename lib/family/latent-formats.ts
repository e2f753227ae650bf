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

/**
 * The latents of FLUX.1, which Z-Image has too: 16 channels, with the values of diffusers' configuration of that VAE and
 * the projection that stable-diffusion.cpp publishes.
 */
export const FLUX_LATENT: LatentFormat = {
  scale: 0.3611,
  shift: 0.1159,
  projection: [
    [-0.041168, 0.019917, 0.097253],
    [0.028096, 0.02673, 0.129576],
    [0.065618, -0.06795, -0.014651],
    [-0.012998, -0.014762, 0.081251],
    [0.078567, 0.059296, -0.024687],
    [-0.015987, -0.003697, 0.005012],
    [0.033605, 0.138999, 0.068517],
    [-0.02445, -0.063567, -0.030101],
    [-0.040194, -0.01671, 0.127185],
    [0.112681, 0.088764, -0.04194],
    [-0.023498, 0.093664, 0.025543],
    [0.082899, 0.04832, 0.007491],
    [0.075712, 0.074139, 0.081965],
    [-0.143501, 0.018263, -0.136138],
    [-0.025767, -0.082035, -0.040023],
    [-0.111849, -0.055589, -0.032361],
    [0.0246, -0.006937, -0.008089],
  ],
};
