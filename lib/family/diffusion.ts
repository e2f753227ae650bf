// Shared by the families of Stable Diffusion.

import type { LoadedModelInfo } from '../native/contract.ts';
import { DiffusionNoise, type NoiseModel, SigmaTable, stableDiffusionTable } from '../noise-model/index.ts';
import type { Family } from './family.ts';
import { embedGuidance } from './sinusoids.ts';

/** The noise levels of a model's files, or Stable Diffusion's. */
function noise({ prediction, alphasCumprod }: LoadedModelInfo): NoiseModel {
  // These families have no models of flow matching.
  const predicted = prediction === 'v' ? 'v' : 'epsilon';
  return new DiffusionNoise(predicted, alphasCumprod ? new SigmaTable(alphasCumprod) : stableDiffusionTable());
}

/** Diffusion noise with a table, and common defaults. */
export const DIFFUSION = { noise, embedGuidance, steps: 20, cfgScale: 7 } as const satisfies Partial<Family>;
