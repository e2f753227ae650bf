// From the two prompts of a call to texts ready for the text encoders, as they are from one step to the next.

import type { TextModel, TokenizedTexts } from '../conditioning/text-system.ts';
import { warn } from '../core/warnings.ts';
import { conditionsUsed, type Guidance, type Guided } from '../guidance/index.ts';
import { type FoundLora, findLoras } from '../lora/files.ts';
import type { LoadedModelInfo } from '../native/contract.ts';
import type { CheckedGenerationOptions } from '../task/check.ts';
import type { PromptStage } from '../task/prompt.ts';
import { stageAt } from '../text/editing.ts';

/** The prompts of a call, ready for the text encoders. */
export interface Prompts {
  /**
   * For each stage of the texts, the number of its last evaluation of the denoiser, counted from 0. Ascending, at least
   * one.
   */
  readonly ends: readonly number[];
  readonly texts: TokenizedTexts;
  /** Those of the options and of the prompt. */
  readonly loras: readonly FoundLora[];
}

/** What the web UI splits a prompt at (Liu et al. 2022, composable diffusion). */
const COMPOSITION = /\S\s*\bAND\b\s*\S/;

/**
 * How predictions are guided where guidance is in force. Denoisers that take the scale as an input need no second
 * evaluation.
 */
export function guidanceOf({ guidanceSize }: LoadedModelInfo, options: CheckedGenerationOptions): Guidance {
  const { cfgScale, imageCfgScale = 1, pagScale, cfgRescale } = options;
  const scale = guidanceSize > 0 ? 1 : cfgScale;
  return { scale, imageScale: imageCfgScale, perturbedScale: pagScale, rescale: cfgRescale };
}

/**
 * Finds the LoRAs, and tokenizes the texts that editing and alternation make of both prompts.
 *
 * @throws DiffusionError `ERR_FILE` for a LoRA that is not found; RangeError as {@link CheckedPrompt.stages}; as
 *   {@link TextModel.tokenize}.
 */
export async function readPrompts(
  text: TextModel,
  info: LoadedModelInfo,
  options: CheckedGenerationOptions,
  signal: AbortSignal,
): Promise<Prompts> {
  const evaluations = options.steps * options.sampler.evaluationsPerStep;
  const positive = options.prompt.stages(evaluations);
  const negative = options.negativePrompt.stages(evaluations);
  if ([...positive, ...negative].some((stage) => COMPOSITION.test(stage.text.text))) {
    warn("A prompt has the word AND, by which AUTOMATIC1111's web UI composes several; here it is a word like others");
  }
  const loras = await findLoras(options);
  const used = promptsUsed(info, options);
  const ends = endsOf([...(used.conditional ? positive : []), ...(used.unconditional ? negative : [])]);
  const stages = ends.map((end) => ({
    conditional: stageAt(positive, end).text,
    unconditional: stageAt(negative, end).text,
  }));
  return { ends, texts: await text.tokenize({ stages, used }, options, loras, signal), loras };
}

function endsOf(stages: readonly PromptStage[]): number[] {
  return [...new Set(stages.map(({ until }) => until))].sort((a, b) => a - b);
}

/** Which prompts any step is conditioned on. */
function promptsUsed(info: LoadedModelInfo, options: CheckedGenerationOptions): Guided<boolean> {
  const { conditional, perturbed, unconditional, unconditionalImage } = conditionsUsed(guidanceOf(info, options));
  const [start, end] = options.guidanceInterval;
  return {
    conditional: conditional || perturbed || start > 0 || end < 1,
    unconditional: unconditional || unconditionalImage,
  };
}
