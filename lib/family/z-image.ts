// Z-Image and Z-Image-Turbo (Z-Image Team 2025, arXiv:2511.22699): flow matching, with Qwen3 as text encoder.

import { languageModel } from '../conditioning/language-model.ts';
import { FlowNoise } from '../noise-model/index.ts';
import type { Family } from './family.ts';
import { FLUX_LATENT } from './latent-formats.ts';

/** Shift of Turbo's noise levels, and of either in ComfyUI and stable-diffusion.cpp. */
const SHIFT = 3;

/** Nothing in the files tells Turbo from the base model; the defaults are Turbo's, which most use. */
export const zImage: Family = {
  name: 'z-image',
  latent: FLUX_LATENT,
  side: () => 1024,
  steps: 8,
  cfgScale: 1,
  sampler: 'euler',
  scheduler: 'sgm_uniform',
  noise: ({ noise }) => new FlowNoise({ shift: noise.shift ?? SHIFT }),
  // A turn of the user, and the beginning of the answer.
  text: languageModel({
    before: (control) => [control('<|im_start|>'), 'user\n'],
    after: (control) => [control('<|im_end|>'), '\n', control('<|im_start|>'), 'assistant\n'],
    mostTokens: 512,
  }),
  options: [],
};
