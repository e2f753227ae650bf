// From the two prompts of a call to chunks of tokens, as they are from one step to the next.

import { isTurnOver, nextTurn } from '../async/slices.ts';
import { argumentError } from '../core/errors.ts';
import { warn } from '../core/warnings.ts';
import type { ModelWord } from '../embedding/added-tokens.ts';
import { bundledEmbeddings } from '../embedding/bundled.ts';
import { type EmbeddingReport, loadEmbeddings } from '../embedding/load.ts';
import { conditionsUsed, type Guidance, type Guided } from '../guidance/index.ts';
import { type FoundLora, findLoras } from '../lora/files.ts';
import { withholdContents } from '../lora/withhold.ts';
import type { LoadedModelInfo, NativeAddon } from '../native/contract.ts';
import type { CheckedGenerationOptions } from '../task/check.ts';
import { parseAttention } from '../text/attention.ts';
import { type EncodePromptOptions, encodePrompt, type PromptChunk, padChunks } from '../text/chunks.ts';
import { type PromptStage, stageAt } from '../text/editing.ts';
import type { ClipTokenizer } from '../text/tokenizer.ts';

/** The prompts as they are up to and with an evaluation of the UNet, counted from 0. */
export interface ChunkStage {
  readonly until: number;
  /** For each text encoder: they differ in their padding. */
  readonly chunks: readonly Guided<readonly PromptChunk[]>[];
  /** Whether the negative prompt is empty. */
  readonly emptyNegative: boolean;
}

/** The prompts of a call, ready for the text encoders. */
export interface Prompts {
  /** In order, at least one. Chunks that are the same text are the same object. */
  readonly stages: readonly ChunkStage[];
  /** For each text encoder, what the tokens after the vocabulary stand for, `[n, width]`. */
  readonly vectors: readonly Float32Array[];
  /** The embeddings that the prompts name. */
  readonly embeddings: readonly EmbeddingReport[];
  /** Those of the options and of the prompt. */
  readonly loras: readonly FoundLora[];
}

/** Of one text of a prompt, and in all texts of both prompts together. */
const MAX_CHUNKS = 64;
const MAX_DIFFERENT_CHUNKS = 1024;
/** What the web UI splits a prompt at (Liu et al. 2022, composable diffusion). */
const COMPOSITION = /\S\s*\bAND\b\s*\S/;
/** Token that OpenCLIP's text encoders were trained with after the end of a prompt. OpenAI's had the end token. */
const OPEN_CLIP_PAD = 0;

/** How predictions are guided where guidance is in force. UNets that take the scale as an input need no second evaluation. */
export function guidanceOf({ guidanceSize }: LoadedModelInfo, options: CheckedGenerationOptions): Guidance {
  const { cfgScale, imageCfgScale = 1, pagScale, cfgRescale } = options;
  const scale = guidanceSize > 0 ? 1 : cfgScale;
  return { scale, imageScale: imageCfgScale, perturbedScale: pagScale, rescale: cfgRescale };
}

/**
 * Finds the LoRAs, reads the embeddings that the prompts name, and splits both prompts into equally many chunks, for each stage that edits and
 * alternations make of them.
 *
 * @param words those that the model brings.
 * @throws DiffusionError `ERR_FILE` for a LoRA that is nowhere; RangeError `ERR_INVALID_ARG_VALUE` for malformed weights, for more than
 *   64 chunks in a text or 1024 in all, and as {@link CheckedPrompt.stages}; DiffusionError for embeddings that cannot be had, see
 *   {@link loadEmbeddings}.
 */
export async function readPrompts(
  addon: NativeAddon,
  tokenizer: ClipTokenizer,
  info: LoadedModelInfo,
  words: readonly ModelWord[],
  options: CheckedGenerationOptions,
  signal: AbortSignal,
): Promise<Prompts> {
  const evaluations = options.steps * options.sampler.evaluationsPerStep;
  const stages = {
    conditional: options.prompt.stages(evaluations),
    unconditional: options.negativePrompt.stages(evaluations),
  };
  const texts = new Set([...stages.conditional, ...stages.unconditional].map(({ text }) => text));
  if ([...texts].some((text) => COMPOSITION.test(text))) {
    warn("A prompt has the word AND, by which AUTOMATIC1111's web UI composes several; here it is a word like others");
  }
  const plain: string[] = [];
  for (const text of texts) {
    if (isTurnOver()) await nextTurn();
    for (const part of parseAttention(text).flat()) plain.push(part.text);
  }
  const loras = await findLoras(options);
  const paths = loras.map(({ path }) => path);
  const found = await withholdContents(loras, () => bundledEmbeddings(addon, paths, signal));
  // Errors, warnings and reports call the file of a LoRA as the prompt does, and not where it is.
  const tags = new Map(loras.map(({ path, tag }) => [path, tag]));
  const bundled = found.map((file) => ({ ...file, path: tags.get(file.path) ?? file.path }));
  const embeddings = await loadEmbeddings(addon, info.textEncoders, words, options, plain, bundled, signal);
  const used = promptsUsed(info, options);
  const chunkers = info.textEncoders.map(({ kind, positions }, i) => {
    const pad = kind === 'openclip' ? OPEN_CLIP_PAD : tokenizer.endToken;
    return chunkerFor({ tokenizer, pad, positions, triggers: embeddings.triggers[i] });
  });
  return {
    stages: await chunkStages(stages, used, chunkers),
    vectors: embeddings.vectors,
    embeddings: embeddings.reports,
    loras,
  };
}

/** Which prompts have a part in any step. */
function promptsUsed(info: LoadedModelInfo, options: CheckedGenerationOptions): Guided<boolean> {
  const { conditional, perturbed, unconditional, unconditionalImage } = conditionsUsed(guidanceOf(info, options));
  const [start, end] = options.guidanceInterval;
  return {
    conditional: conditional || perturbed || start > 0 || end < 1,
    unconditional: unconditional || unconditionalImage,
  };
}

type Chunker = (text: string, name: string) => Promise<readonly PromptChunk[]>;

/** Makes chunks of texts, of the same text once. The longest take some milliseconds, and edits may make many. */
function chunkerFor(options: EncodePromptOptions): Chunker {
  const known = new Map<string, readonly PromptChunk[]>();
  return async (text, name) => {
    if (isTurnOver()) await nextTurn();
    const chunks = known.get(text) ?? encodePrompt(text, { ...options, name });
    known.set(text, chunks);
    if (chunks.length > MAX_CHUNKS) throw tooMany(name, MAX_CHUNKS, `${chunks.length}`);
    return chunks;
  };
}

/**
 * The stages of both prompts in one list. Where guidance leaves one prompt out of account, the other stands for both, so that it is
 * not padded to the length of one that is never read.
 */
async function chunkStages(
  { conditional: positive, unconditional: negative }: Guided<readonly PromptStage[]>,
  used: Guided<boolean>,
  chunkers: readonly Chunker[],
): Promise<ChunkStage[]> {
  const counted = [...(used.conditional ? positive : []), ...(used.unconditional ? negative : [])];
  const ends = [...new Set(counted.map(({ until }) => until))].sort((a, b) => a - b);
  const different = new Set<PromptChunk>();
  const chunked: ChunkStage[] = [];
  for (const until of ends) {
    const [prompt, negativePrompt] = [stageAt(positive, until).text, stageAt(negative, until).text];
    const chunks: Guided<readonly PromptChunk[]>[] = [];
    for (const chunk of chunkers) chunks.push(await chunkBoth(chunk, prompt, negativePrompt, used));
    for (const { conditional, unconditional } of chunks) {
      for (const chunk of [...conditional, ...unconditional]) different.add(chunk);
    }
    if (different.size > MAX_DIFFERENT_CHUNKS * chunkers.length) throw tooMany('prompt', MAX_DIFFERENT_CHUNKS, 'more');
    chunked.push({ until, chunks, emptyNegative: negativePrompt === '' });
  }
  return chunked;
}

async function chunkBoth(
  chunk: Chunker,
  prompt: string,
  negativePrompt: string,
  used: Guided<boolean>,
): Promise<Guided<readonly PromptChunk[]>> {
  if (!used.unconditional) return bothOf(await chunk(prompt, 'prompt'));
  if (!used.conditional) return bothOf(await chunk(negativePrompt, 'negativePrompt'));
  const [empty] = await chunk('', 'prompt');
  const both = [await chunk(prompt, 'prompt'), await chunk(negativePrompt, 'negativePrompt')] as const;
  const [conditional, unconditional] = padChunks(...both, empty as PromptChunk);
  return { conditional, unconditional };
}

function bothOf<T>(one: T): Guided<T> {
  return { conditional: one, unconditional: one };
}

function tooMany(name: string, most: number, received: string): Error {
  const expected = `at most ${most} chunks of 75 tokens`;
  return argumentError([{ name, expected, received, code: 'ERR_INVALID_ARG_VALUE' }]);
}
