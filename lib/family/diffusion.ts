// What the families of Stable Diffusion share.

import type { LoadedModelInfo } from '../native/contract.ts';
import { DiffusionNoise, type NoiseModel, SigmaTable, stableDiffusionTable } from '../noise-model/index.ts';
import { CLIP } from '../text/clip.ts';
import type { Family } from './family.ts';

/** The noise levels of a model's files, or Stable Diffusion's. */
function noise({ prediction, alphasCumprod }: LoadedModelInfo): NoiseModel {
  return new DiffusionNoise(prediction, alphasCumprod ? new SigmaTable(alphasCumprod) : stableDiffusionTable());
}

/** Text by CLIP, noise by a table, and the usual defaults. */
export const DIFFUSION = { noise, text: CLIP, steps: 20, cfgScale: 7 } as const satisfies Partial<Family>;
