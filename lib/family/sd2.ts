// Stable Diffusion 2.x.

import { clip } from '../conditioning/clip.ts';
import { DIFFUSION } from './diffusion.ts';
import type { Family } from './family.ts';
import { SD1_LATENT } from './latent-formats.ts';

export const sd2: Family = {
  ...DIFFUSION,
  name: 'sd2',
  latent: SD1_LATENT,
  // Only v-prediction models without concat conditioning were trained at 768 pixels.
  side: ({ prediction, inChannels, latentChannels }) =>
    prediction === 'v' && inChannels === latentChannels ? 768 : 512,
  text: clip({ tokenizers: ['tokenizer'] }),
  options: [],
};
