// Guidance of editing models: by the instruction, and by the picture that is edited.

import type { PredictEach } from './cfg.ts';
import type { Predict } from './prediction.ts';

/** The three conditions of an edit: the instruction with the picture, the picture alone, and neither of them. */
export interface EditConditions<Condition> {
  readonly both: Condition;
  readonly picture: Condition;
  readonly neither: Condition;
}

/**
 * Guides predictions of InstructPix2Pix: neither + imageScale (picture - neither) + scale (both - picture) (Brooks et al. 2022,
 * arXiv:2211.09800, eq. 3). A condition that the scales leave out of account is not evaluated.
 */
export function editGuidance<Condition>(
  predictEach: PredictEach<Condition>,
  { both, picture, neither }: EditConditions<Condition>,
  scale: number,
  imageScale: number,
): Predict {
  const all: readonly (readonly [Condition, number])[] = [
    [both, scale],
    [picture, imageScale - scale],
    [neither, 1 - imageScale],
  ];
  const terms = all.filter(([, weight]) => weight !== 0);
  const conditions = terms.map(([condition]) => condition);
  return async (latent, timestep) => {
    const predictions = await predictEach(latent, timestep, conditions);
    return latent.map((_, i) =>
      terms.reduce((sum, [, weight], k) => sum + weight * ((predictions[k] as Float32Array)[i] as number), 0),
    );
  };
}
