// Classifier-free guidance: away from what the network predicts without the prompt.

import type { Predict } from './prediction.ts';

/**
 * Evaluates the network on the same latent once for each condition, best as one batch.
 *
 * @param latent as in {@link Predict}.
 * @param conditions one or two, each whatever the caller conditions the network with.
 * @returns one prediction per condition, in their order, each as long as `latent`.
 */
export type PredictEach<Condition> = (
  latent: Float32Array,
  timestep: number,
  conditions: readonly Condition[],
) => Promise<readonly Float32Array[]>;

/**
 * Guides predictions: unconditional + scale (conditional - unconditional) (Ho and Salimans 2022, arXiv:2207.12598).
 *
 * @param conditional the prompt.
 * @param unconditional the negative prompt.
 * @param scale any finite number from 0. At 1 only the conditional prediction counts and at 0 only the unconditional
 *   one, and only that one is evaluated; every other scale evaluates [conditional, unconditional].
 */
export function classifierFreeGuidance<Condition>(
  predictEach: PredictEach<Condition>,
  conditional: Condition,
  unconditional: Condition,
  scale: number,
): Predict {
  if (scale === 1 || scale === 0) {
    const only = scale === 1 ? conditional : unconditional;
    return async (latent, timestep) => {
      const [prediction] = await predictEach(latent, timestep, [only]);
      return prediction as Float32Array;
    };
  }
  return async (latent, timestep) => {
    const both = await predictEach(latent, timestep, [conditional, unconditional]);
    const [cond, uncond] = both as readonly [Float32Array, Float32Array];
    return uncond.map((value, i) => value + scale * ((cond[i] as number) - value));
  };
}
