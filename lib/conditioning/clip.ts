// The text system of CLIP: one text encoder, or several whose hidden states are joined.

import { DiffusionError } from '../core/errors.ts';
import { type ModelWord, readModelWords } from '../embedding/added-tokens.ts';
import { bundledEmbeddings } from '../embedding/bundled.ts';
import { loadEmbeddings } from '../embedding/load.ts';
import type { EmbeddingFile } from '../embedding/options.ts';
import type { Guided } from '../guidance/index.ts';
import type { FoundLora } from '../lora/files.ts';
import { withholdContents } from '../lora/withhold.ts';
import type { LoadedModelInfo, NativeAddon, TextEncoderInfo } from '../native/contract.ts';
import { CHUNK_LENGTH, LONG_CHUNK_LENGTH } from '../text/chunks.ts';
import { type ClipTokenizer, loadClipTokenizer } from '../text/tokenizer.ts';
import { VOCABULARY_SIZE } from '../text/vocabulary.ts';
import { encodeChunks, joinChunks } from './clip-encoding.ts';
import { chunkStages, plainTexts, type StageChunks } from './clip-prompts.ts';
import type {
  PromptTexts,
  TextConditioning,
  TextModel,
  TextOptions,
  TextSystem,
  TokenizedTexts,
} from './text-system.ts';

/** How a family uses CLIP. */
export interface ClipOptions {
  /** Folder of the tokenizer of each text encoder, in a diffusers folder. */
  readonly tokenizers: readonly string[];
  /** Whether an empty negative prompt is all zeros, rather than the hidden states of an empty text. Default false. */
  readonly zeroEmptyNegative?: boolean;
}

/** The text system of a family with text encoders of CLIP. */
export function clip({ tokenizers, zeroEmptyNegative = false }: ClipOptions): TextSystem {
  return {
    async open(addon, source, info) {
      requireClip(info.textEncoders);
      const tokenizer = await loadClipTokenizer();
      const words = await readModelWords(source, info, tokenizers);
      return new ClipText(addon, info, tokenizer, words, zeroEmptyNegative);
    },
  };
}

/** Token that OpenCLIP's text encoders were trained with after the end of a prompt. OpenAI's had the end token. */
const OPEN_CLIP_PAD = 0;

class ClipText implements TextModel {
  readonly #addon: NativeAddon;
  readonly #encoders: readonly TextEncoderInfo[];
  readonly #tokenizer: ClipTokenizer;
  readonly #words: readonly ModelWord[];
  readonly #zeroEmptyNegative: boolean;

  constructor(
    addon: NativeAddon,
    { textEncoders }: LoadedModelInfo,
    tokenizer: ClipTokenizer,
    words: readonly ModelWord[],
    zeroEmptyNegative: boolean,
  ) {
    this.#addon = addon;
    this.#encoders = textEncoders;
    this.#tokenizer = tokenizer;
    this.#words = words;
    this.#zeroEmptyNegative = zeroEmptyNegative;
  }

  /**
   * Reads the embeddings that the texts name, and splits the texts into chunks.
   *
   * @throws RangeError as {@link chunkStages}; DiffusionError as {@link loadEmbeddings}.
   */
  async tokenize(
    texts: PromptTexts,
    options: TextOptions,
    loras: readonly FoundLora[],
    signal: AbortSignal,
  ): Promise<TokenizedTexts> {
    const plain = await plainTexts(texts);
    const bundled = await this.#bundled(loras, signal);
    const words = await loadEmbeddings(this.#addon, this.#encoders, this.#words, options, plain, bundled, signal);
    const encoders = this.#encoders.map(({ kind, positions }, i) => {
      const pad = kind === 'openclip' ? OPEN_CLIP_PAD : this.#tokenizer.endToken;
      return { tokenizer: this.#tokenizer, pad, positions, triggers: words.triggers[i] };
    });
    const chunks = await chunkStages(texts, encoders);
    return {
      embeddings: words.reports,
      encode: async (networks) => {
        const encoded = await encodeChunks(networks, chunks, words.vectors, options.clipSkip);
        return (stage) => {
          const textOf = (which: keyof Guided<unknown>) =>
            joinChunks(
              encoded,
              (chunks[stage] as StageChunks).map((both) => both[which]),
            );
          const isEmpty = texts.stages[stage]?.unconditional.text === '';
          const unconditional = textOf('unconditional');
          return {
            conditional: textOf('conditional'),
            unconditional: isEmpty && this.#zeroEmptyNegative ? zeros(unconditional) : unconditional,
          };
        };
      },
    };
  }

  /** The embeddings inside LoRAs. Errors, warnings and reports call a LoRA's file as the prompt does. */
  async #bundled(loras: readonly FoundLora[], signal: AbortSignal): Promise<EmbeddingFile[]> {
    const paths = loras.map(({ path }) => path);
    const found = await withholdContents(loras, () => bundledEmbeddings(this.#addon, paths, signal));
    const tags = new Map(loras.map(({ path, tag }) => [path, tag]));
    return found.map((file) => ({ ...file, path: tags.get(file.path) ?? file.path }));
  }
}

function zeros({ context, tokens, pooled }: TextConditioning): TextConditioning {
  return { context: new Float32Array(context.length), tokens, pooled: new Float32Array(pooled.length) };
}

/** A text encoder with fewer tokens was made for another tokenizer. One with more has them for words of its own. */
function requireClip(encoders: readonly TextEncoderInfo[]): void {
  for (const { positions, vocabulary } of encoders) {
    const isKnown = positions === CHUNK_LENGTH || positions === LONG_CHUNK_LENGTH;
    if (isKnown && vocabulary >= VOCABULARY_SIZE) continue;
    const expected = `a text encoder of CLIP with ${CHUNK_LENGTH} positions (LongCLIP: ${LONG_CHUNK_LENGTH}) and at least ${VOCABULARY_SIZE} tokens`;
    const received = `one with ${positions} positions and ${vocabulary} tokens`;
    throw new DiffusionError('ERR_MODEL_UNSUPPORTED', `Expected ${expected} but the model has ${received}`);
  }
  const positions = encoders.map((encoder) => encoder.positions);
  if (new Set(positions).size > 1) {
    const expected = 'text encoders with the same number of positions, whose hidden states are joined token by token';
    const remedy = `LongCLIP has ${LONG_CHUNK_LENGTH}: use CLIP's text encoder in its place`;
    throw new DiffusionError(
      'ERR_MODEL_UNSUPPORTED',
      `Expected ${expected}, but the model has some of ${positions.join(' and ')}. ${remedy}`,
    );
  }
}
