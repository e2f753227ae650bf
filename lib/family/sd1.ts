// Stable Diffusion 1.x.

import { DIFFUSION } from './diffusion.ts';
import type { Family } from './family.ts';
import { SD1_LATENT } from './latent-formats.ts';

export const sd1: Family = {
  ...DIFFUSION,
  name: 'sd1',
  latent: SD1_LATENT,
  side: () => 512,
  tokenizers: ['tokenizer'],
  zeroEmptyNegative: false,
  options: [],
};
