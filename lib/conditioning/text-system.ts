// What a family of models makes of prompts: the interface between its text encoders and the pipeline.

import type { EmbeddingReport } from '../embedding/load.ts';
import type { CheckedEmbeddings } from '../embedding/options.ts';
import type { Guided } from '../guidance/index.ts';
import type { FoundLora } from '../lora/files.ts';
import type { CheckedLoras } from '../lora/options.ts';
import type { LoadedModelInfo, NativeAddon, NativeSource } from '../native/contract.ts';
import type { Networks } from '../native/networks.ts';
import type { PromptText } from '../text/prompt-text.ts';

/** The text encoders of a family and their tokenizers. */
export interface TextSystem {
  /**
   * Loads tokenizers, and what a model adds to them.
   *
   * @throws DiffusionError `ERR_MODEL_UNSUPPORTED` if the text encoders do not fit the tokenizers, and for files that
   *   cannot be read.
   */
  open(addon: NativeAddon, source: NativeSource, info: LoadedModelInfo): Promise<TextModel>;
}

/** The text system of an open model. */
export interface TextModel {
  /**
   * Tokenizes the texts of a call. Nothing is evaluated yet, so that a wrong prompt is reported before its run's turn.
   *
   * @param loras active ones; a file of a LoRA may have embeddings.
   */
  tokenize(
    texts: PromptTexts,
    options: TextOptions,
    loras: readonly FoundLora[],
    signal: AbortSignal,
  ): Promise<TokenizedTexts>;
}

/** The texts of both prompts, which editing may change from stage to stage. */
export interface PromptTexts {
  /** In order, at least one. */
  readonly stages: readonly Guided<PromptText>[];
  /** Which of the two any step is conditioned on. One that is not used need not be encoded. */
  readonly used: Guided<boolean>;
}

/** The options that text systems know. */
export interface TextOptions extends CheckedEmbeddings, Pick<CheckedLoras, 'loraTags'> {
  readonly clipSkip: number;
}

/** Texts ready for the text encoders. */
export interface TokenizedTexts {
  /** The embeddings that the texts name. */
  readonly embeddings: readonly EmbeddingReport[];
  /**
   * Runs the text encoders.
   *
   * @returns for the index of a stage, what its texts condition on. Texts of different lengths are evaluated one after
   *   the other, so text systems that fill them up to one length are faster for small networks.
   */
  encode(networks: Networks): Promise<(stage: number) => Guided<TextConditioning>>;
}

/** What a text conditions the denoiser on. */
export interface TextConditioning {
  /** Hidden states that it attends to, `[tokens, width]`. */
  readonly context: Float32Array;
  readonly tokens: number;
  /** The pooled output of the text; empty if the text encoders have none. */
  readonly pooled: Float32Array;
}
