// From the two prompts of a call to what the UNet is conditioned with.

import { type EmbeddingReport, type Embeddings, loadEmbeddings } from '../embedding/load.ts';
import { argumentError } from '../errors.ts';
import { readLoraTags } from '../lora/tags.ts';
import type { NativeAddon, NativeModelInfo, NativeTextEncoder } from '../native/contract.ts';
import type { Size } from '../picture/resize.ts';
import { parseAttention } from '../text/attention.ts';
import { encodePrompt, type PromptChunk, padChunks } from '../text/chunks.ts';
import type { ClipTokenizer } from '../text/tokenizer.ts';
import { applyWeights } from '../text/weights.ts';
import { embedGuidance, embedNumbers } from './embeddings.ts';
import type { CheckedGenerationOptions } from './generation-options.ts';
import type { Networks } from './networks.ts';

/** What the UNet is conditioned with, for one picture. */
export interface Conditioning {
  /** Hidden states that it attends to, `[tokens, width]`: of all text encoders side by side. */
  readonly context: Float32Array;
  /** Number of tokens: 77 a chunk. */
  readonly tokens: number;
  /** SDXL: the pooled prompt, and the embedded sizes and places. */
  readonly vector?: Float32Array;
  /** LCM: the embedded guidance scale. */
  readonly guidance?: Float32Array;
  /** What stands beside the latents of all pictures, `[batch, channels, height, width]`: {@link Start.beside}. */
  readonly beside?: Float32Array;
}

/** Something for the prompt and the same for the negative prompt. */
export interface Guided<T> {
  readonly conditional: T;
  readonly unconditional: T;
}

const MAX_CHUNKS = 64;

/** The scale of classifier-free guidance: none for UNets that take the scale as an input instead. */
export function guidanceScale({ guidanceSize }: NativeModelInfo, { cfgScale }: CheckedGenerationOptions): number {
  return guidanceSize > 0 ? 1 : cfgScale;
}

/** The only prompt that the guidance scales take into account; undefined where they take both. */
function onlyPrompt(info: NativeModelInfo, options: CheckedGenerationOptions): keyof Guided<unknown> | undefined {
  const scale = guidanceScale(info, options);
  if (scale === 0) return 'unconditional';
  const { imageCfgScale = 1 } = options;
  return scale === 1 && imageCfgScale === 1 ? 'conditional' : undefined;
}

/** The prompts in chunks for one text encoder. */
export interface EncoderPrompts extends Guided<readonly PromptChunk[]> {
  /** What the tokens behind the vocabulary stand for, `[n, width]`. */
  readonly vectors: Float32Array;
}

/** The prompts of a call, ready for the text encoders. */
export interface Prompts {
  /** For each text encoder: they differ in their padding. */
  readonly chunks: readonly EncoderPrompts[];
  /** The embeddings that the prompts name. */
  readonly embeddings: readonly EmbeddingReport[];
}

/** Token that OpenCLIP's text encoders were trained with behind the end of a prompt. OpenAI's had the end token. */
const OPEN_CLIP_PAD = 0;

/**
 * Reads the embeddings that the prompts name, and splits both prompts into equally many chunks.
 *
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for malformed weights and for more than 64 chunks; DiffusionError for embeddings that
 *   cannot be had, see {@link loadEmbeddings}.
 */
export async function readPrompts(
  addon: NativeAddon,
  tokenizer: ClipTokenizer,
  info: NativeModelInfo,
  options: CheckedGenerationOptions,
  signal: AbortSignal,
): Promise<Prompts> {
  const prompts = { ...options, prompt: readLoraTags(options.prompt).text };
  const texts = [prompts.prompt, prompts.negativePrompt].flatMap((prompt) =>
    parseAttention(prompt)
      .flat()
      .map(({ text }) => text),
  );
  const embeddings = await loadEmbeddings(addon, info, options, texts, signal);
  return { chunks: chunkPrompts(tokenizer, info, prompts, embeddings), embeddings: embeddings.reports };
}

/**
 * Splits both prompts into equally many chunks. Where the guidance scale leaves one of them out of account, the other
 * stands for both, so that it is not padded to the length of one that is never read.
 */
function chunkPrompts(
  tokenizer: ClipTokenizer,
  info: NativeModelInfo,
  options: CheckedGenerationOptions,
  { triggers, vectors: allVectors }: Embeddings,
): EncoderPrompts[] {
  const only = onlyPrompt(info, options);
  return info.textEncoders.map(({ kind }, i) => {
    const vectors = allVectors[i] as Float32Array;
    const pad = kind === 'openclip' ? OPEN_CLIP_PAD : tokenizer.endToken;
    const chunk = (text: string, name: string) => {
      const chunks = encodePrompt(text, { tokenizer, pad, triggers, name });
      if (chunks.length <= MAX_CHUNKS) return chunks;
      const expected = `at most ${MAX_CHUNKS} chunks of 75 tokens`;
      throw argumentError([{ name, expected, received: `${chunks.length}`, code: 'ERR_INVALID_ARG_VALUE' }]);
    };
    const positive = chunk(options.prompt, 'prompt');
    const negative = chunk(options.negativePrompt, 'negativePrompt');
    if (only === 'conditional') return { conditional: positive, unconditional: positive, vectors };
    if (only === 'unconditional') return { conditional: negative, unconditional: negative, vectors };
    const [conditional, unconditional] = padChunks(positive, negative, chunk('', 'prompt')[0] as PromptChunk);
    return { conditional, unconditional, vectors };
  });
}

/**
 * Runs the text encoders over the chunks of both prompts, each distinct chunk once, applies the weights of their tokens, and adds
 * what else the model is conditioned with.
 *
 * @param size in pixels that is drawn.
 */
export async function encodePrompts(
  networks: Networks,
  { chunks }: Prompts,
  options: CheckedGenerationOptions,
  size: Size,
): Promise<Guided<Conditioning>> {
  const { info } = networks;
  const encoded: Guided<Encoded>[] = [];
  for (const [i, prompt] of chunks.entries()) encoded.push(await encodeWith(networks, i, prompt, options.clipSkip));
  const numbers = vectorNumbers(info, options, size);
  const guidance = info.guidanceSize > 0 ? { guidance: embedGuidance(options.cfgScale, info.guidanceSize) } : {};
  const condition = (which: keyof Guided<Encoded>): Conditioning => {
    const parts = encoded.map((one) => one[which]);
    const tokens = (parts[0] as Encoded).tokens;
    const context = sideBySide(
      parts.map(({ hidden }) => hidden),
      tokens,
    );
    const pooled = parts.at(-1)?.pooled ?? new Float32Array();
    const zero = which === 'unconditional' && zeroesEmptyPrompt(info, options);
    if (zero) for (const values of [context, pooled]) values.fill(0);
    const vector = numbers ? { vector: Float32Array.of(...pooled, ...embedNumbers(numbers[which])) } : {};
    return { context, tokens, ...vector, ...guidance };
  };
  return { conditional: condition('conditional'), unconditional: condition('unconditional') };
}

/** What one text encoder says of a prompt: hidden states `[tokens, width]`, and its pooled output of the first chunk. */
interface Encoded {
  readonly hidden: Float32Array;
  readonly pooled: Float32Array;
  readonly tokens: number;
}

async function encodeWith(
  networks: Networks,
  encoder: number,
  { conditional, unconditional, vectors }: EncoderPrompts,
  clipSkip: number,
): Promise<Guided<Encoded>> {
  const { positions, width, projection } = networks.info.textEncoders[encoder] as NativeTextEncoder;
  const chunks = [...new Set([...conditional, ...unconditional])];
  const tokens = new Int32Array(chunks.length * positions);
  for (const [i, chunk] of chunks.entries()) tokens.set(chunk.tokens, i * positions);
  const { hidden, pooled } = await networks.encodeText(encoder, tokens, clipSkip, vectors);
  applyWeights(
    hidden,
    chunks.map(({ weights }) => weights),
  );

  const size = positions * width;
  const encodedOf = (prompt: readonly PromptChunk[]): Encoded => {
    const context = new Float32Array(prompt.length * size);
    for (const [i, chunk] of prompt.entries()) {
      const start = chunks.indexOf(chunk) * size;
      context.set(hidden.subarray(start, start + size), i * size);
    }
    const first = chunks.indexOf(prompt[0] as PromptChunk) * projection;
    return { hidden: context, pooled: pooled.slice(first, first + projection), tokens: prompt.length * positions };
  };
  return { conditional: encodedOf(conditional), unconditional: encodedOf(unconditional) };
}

/** Joins hidden states of several widths, token by token. */
function sideBySide(parts: readonly Float32Array[], tokens: number): Float32Array {
  if (parts.length === 1) return parts[0] as Float32Array;
  const widths = parts.map(({ length }) => length / tokens);
  const width = widths.reduce((a, b) => a + b, 0);
  const joined = new Float32Array(tokens * width);
  let column = 0;
  for (const [i, part] of parts.entries()) {
    const own = widths[i] as number;
    for (let row = 0; row < tokens; row++) joined.set(part.subarray(row * own, (row + 1) * own), row * width + column);
    column += own;
  }
  return joined;
}

/**
 * SDXL was trained with zeros in place of empty prompts, and diffusers and stable-diffusion.cpp give its UNet zeros for an empty
 * negative prompt. Its refiner was not.
 */
function zeroesEmptyPrompt(info: NativeModelInfo, { negativePrompt }: CheckedGenerationOptions): boolean {
  return isXlBase(info) && negativePrompt === '';
}

function isXlBase({ family }: NativeModelInfo): boolean {
  return family.startsWith('sdxl') && !family.startsWith('sdxl-refiner');
}

/**
 * The numbers that SDXL is conditioned with, in its order: original size, upper left corner of the crop, target size, heights
 * before widths. The refiner has a score of beauty in place of the target size. Undefined for other models.
 */
function vectorNumbers(
  info: NativeModelInfo,
  options: CheckedGenerationOptions,
  drawn: Size,
): Guided<readonly number[]> | undefined {
  if (info.vectorSize === 0) return undefined;
  const {
    originalSize = drawn,
    targetSize = drawn,
    cropTopLeft: corner,
    aestheticScore,
    negativeAestheticScore,
  } = options;
  const common = [originalSize.height, originalSize.width, corner.top, corner.left];
  if (!isXlBase(info)) {
    return { conditional: [...common, aestheticScore], unconditional: [...common, negativeAestheticScore] };
  }
  const numbers = [...common, targetSize.height, targetSize.width];
  return { conditional: numbers, unconditional: numbers };
}
