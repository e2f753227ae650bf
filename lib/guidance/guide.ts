// Guidance: combines the predictions for the prompt, for the negative prompt, and of the perturbed network.

import type { Predict } from './denoiser.ts';

/** A value for the prompt and one for the negative prompt. */
export interface Guided<T> {
  readonly conditional: T;
  readonly unconditional: T;
}

/**
 * Evaluates the network on the same latent once for each condition, preferably as one batch.
 *
 * @param latent as in {@link Predict}.
 * @param conditions one to four, of the caller's own type.
 * @returns one prediction per condition, in order, each as long as `latent`.
 */
export type PredictEach<Condition> = (
  latent: Float32Array,
  timestep: number,
  conditions: readonly Condition[],
) => Promise<readonly Float32Array[]>;

/** How predictions are guided. */
export interface Guidance {
  /** Of classifier-free guidance: finite, at least 0; 1 means no guidance. */
  readonly scale: number;
  /** Of guidance by the image of an editing model: finite, at least 0; 1 means no guidance. */
  readonly imageScale: number;
  /** Of perturbed-attention guidance: finite, at least 0; 0 means no guidance. */
  readonly perturbedScale: number;
  /**
   * How much the guided prediction is rescaled to the standard deviation of the conditional one, 0 (not) to 1 (fully).
   */
  readonly rescale: number;
}

/** Uses the prediction for the prompt as it is. */
export const NO_GUIDANCE: Guidance = { scale: 1, imageScale: 1, perturbedScale: 0, rescale: 0 };

/** The conditions that the network is evaluated with. */
export interface Conditions<Condition> {
  /** The prompt. */
  readonly conditional: Condition;
  /** The negative prompt. */
  readonly unconditional: Condition;
  /** The negative prompt without the image of an editing model. */
  readonly unconditionalImage: Condition;
  /** The prompt, for the network with perturbed self-attention. */
  readonly perturbed: Condition;
}

const NAMES = [
  'conditional',
  'unconditional',
  'unconditionalImage',
  'perturbed',
] as const satisfies (keyof Conditions<unknown>)[];

/** The weight of each condition's prediction in the guided one. */
function weightsOf({ scale, imageScale, perturbedScale }: Guidance): Record<keyof Conditions<unknown>, number> {
  return {
    conditional: scale + perturbedScale,
    unconditional: imageScale - scale,
    unconditionalImage: 1 - imageScale,
    perturbed: -perturbedScale,
  };
}

/** Which conditions contribute to the result; the others are not evaluated. */
export function conditionsUsed(guidance: Guidance): Record<keyof Conditions<unknown>, boolean> {
  const { conditional, unconditional, unconditionalImage, perturbed } = weightsOf(guidance);
  return {
    conditional: conditional !== 0 || guidance.rescale > 0,
    unconditional: unconditional !== 0,
    unconditionalImage: unconditionalImage !== 0,
    perturbed: perturbed !== 0,
  };
}

/**
 * Guides a prediction: unconditionalImage + imageScale (unconditional - unconditionalImage) + scale (conditional -
 * unconditional) + perturbedScale (conditional - perturbed) (classifier-free guidance, Ho and Salimans 2022,
 * arXiv:2207.12598; InstructPix2Pix, Brooks et al. 2022, arXiv:2211.09800, eq. 3; perturbed-attention guidance, Ahn et
 * al. 2024, arXiv:2403.17377), then rescales each image towards the standard deviation of its conditional prediction
 * (Lin et al. 2023, arXiv:2305.08891, eq. 15 and 16).
 *
 * @param images number of images in the batch.
 */
export function guide<Condition>(
  predictEach: PredictEach<Condition>,
  conditions: Conditions<Condition>,
  guidance: Guidance,
  images: number,
): Predict {
  const used = conditionsUsed(guidance);
  const names = NAMES.filter((name) => used[name]);
  const weights = names.map((name) => weightsOf(guidance)[name]);
  return async (latent, timestep) => {
    const predictions = await predictEach(
      latent,
      timestep,
      names.map((name) => conditions[name]),
    );
    const [first] = predictions as readonly [Float32Array];
    if (names.length === 1) return first;
    const guided = first.map((_, i) =>
      predictions.reduce((sum, prediction, k) => sum + (weights[k] as number) * (prediction[i] as number), 0),
    );
    // With rescaling, the conditional prediction is always the first.
    if (guidance.rescale > 0) rescale(guided, first, guidance.rescale, images);
    return guided;
  };
}

/**
 * Multiplies each image of `guided` in place by phi s + (1 - phi), with the ratio s of the deviations of `conditional`
 * and `guided`.
 */
function rescale(guided: Float32Array, conditional: Float32Array, phi: number, images: number): void {
  const length = guided.length / images;
  for (let start = 0; start < guided.length; start += length) {
    const image = guided.subarray(start, start + length);
    const own = deviation(image);
    if (own === 0) continue;
    const factor = phi * (deviation(conditional.subarray(start, start + length)) / own) + 1 - phi;
    for (let i = 0; i < length; i++) image[i] = factor * (image[i] as number);
  }
}

function deviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
