// Stable Diffusion 1.x.

import { clip } from '../conditioning/clip.ts';
import { DIFFUSION } from './diffusion.ts';
import type { Family } from './family.ts';
import { SD1_LATENT } from './latent-formats.ts';

export const sd1: Family = {
  ...DIFFUSION,
  name: 'sd1',
  latent: SD1_LATENT,
  side: () => 512,
  text: clip({ tokenizers: ['tokenizer'] }),
  options: [],
};
