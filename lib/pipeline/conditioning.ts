// From the chunks of both prompts to what the UNet is conditioned with.

import { concat } from '../core/arrays.ts';
import type { Family } from '../family/index.ts';
import type { Guided } from '../guidance/index.ts';
import type { Size } from '../image/resize.ts';
import type { LoadedModelInfo, TextEncoderInfo } from '../native/contract.ts';
import type { Networks } from '../native/networks.ts';
import type { CheckedGenerationOptions } from '../task/check.ts';
import type { PromptChunk } from '../text/chunks.ts';
import { stageAt } from '../text/editing.ts';
import { applyWeights } from '../text/weights.ts';
import { embedGuidance, embedNumbers } from './embeddings.ts';
import type { ChunkStage, Prompts } from './prompts.ts';

/** What the UNet is conditioned with, for one image. */
export interface Conditioning {
  /** Hidden states that it attends to, `[tokens, width]`: of all text encoders side by side. */
  readonly context: Float32Array;
  /** Number of tokens: 77 a chunk, or as many positions as the text encoder has. */
  readonly tokens: number;
  /** The pooled prompt, and what the family adds to it: embedded sizes, places or scores. */
  readonly vector?: Float32Array;
  /** LCM: the embedded guidance scale. */
  readonly guidance?: Float32Array;
  /** The channels that the UNet takes in addition to the latents of all images, `[batch, channels, height, width]`: {@link InitialLatents.concatChannels}. */
  readonly concatChannels?: Float32Array;
  /** Whether self-attention in the middle of the UNet is the identity: each pixel attends to itself alone. */
  readonly identityAttention?: boolean;
}

/** How many chunks a text encoder is given at a time. */
const BATCH = 128;

/**
 * Runs the text encoders over the chunks of both prompts, each different chunk once, and applies the weights of their tokens.
 *
 * @param size of the generated image, in pixels.
 * @returns what the UNet is conditioned with at an evaluation, counted from 0: the same object as before where it is the same.
 */
export async function encodePrompts(
  networks: Networks,
  family: Family,
  prompts: Prompts,
  options: CheckedGenerationOptions,
  size: Size,
): Promise<(evaluation: number) => Guided<Conditioning>> {
  const encoders: ReadonlyMap<PromptChunk, EncodedChunk>[] = [];
  for (const encoder of networks.info.textEncoders.keys()) {
    encoders.push(await encodeWith(networks, encoder, prompts, options.clipSkip));
  }
  let last: { stage: ChunkStage; conditions: Guided<Conditioning> } | undefined;
  return (evaluation) => {
    const stage = stageAt(prompts.stages, evaluation);
    if (last?.stage !== stage)
      last = { stage, conditions: conditionsOf(networks.info, family, encoders, stage, options, size) };
    return last.conditions;
  };
}

/** What one text encoder says of a chunk: hidden states `[positions, width]`, and its pooled output. */
interface EncodedChunk {
  readonly hidden: Float32Array;
  readonly pooled: Float32Array;
}

async function encodeWith(
  networks: Networks,
  encoder: number,
  { stages, vectors }: Prompts,
  clipSkip: number,
): Promise<Map<PromptChunk, EncodedChunk>> {
  const { positions, width, projection } = networks.info.textEncoders[encoder] as TextEncoderInfo;
  const pairs = stages.map(({ chunks }) => chunks[encoder] as Guided<readonly PromptChunk[]>);
  const chunks = [...new Set(pairs.flatMap(({ conditional, unconditional }) => [...conditional, ...unconditional]))];
  const size = positions * width;
  const encoded = new Map<PromptChunk, EncodedChunk>();
  for (let start = 0; start < chunks.length; start += BATCH) {
    const batch = chunks.slice(start, start + BATCH);
    const tokens = new Int32Array(batch.length * positions);
    for (const [i, chunk] of batch.entries()) tokens.set(chunk.tokens, i * positions);
    const { hidden, pooled } = await networks.encodeText(encoder, tokens, clipSkip, vectors[encoder] as Float32Array);
    applyWeights(
      hidden,
      batch.map(({ weights }) => weights),
    );
    for (const [i, chunk] of batch.entries()) {
      const part = (values: Float32Array, length: number) => values.subarray(i * length, (i + 1) * length);
      encoded.set(chunk, { hidden: part(hidden, size), pooled: part(pooled, projection) });
    }
  }
  return encoded;
}

/** Joins what the text encoders say of the chunks of a stage, and adds what else the model is conditioned with. */
function conditionsOf(
  info: LoadedModelInfo,
  family: Family,
  encoders: readonly ReadonlyMap<PromptChunk, EncodedChunk>[],
  stage: ChunkStage,
  options: CheckedGenerationOptions,
  size: Size,
): Guided<Conditioning> {
  const numbers = family.vector?.(options, size);
  const guidance = info.guidanceSize > 0 ? { guidance: embedGuidance(options.cfgScale, info.guidanceSize) } : {};
  const condition = (which: keyof Guided<unknown>): Conditioning => {
    const parts = encoders.map((encoded, i) =>
      (stage.chunks[i] as Guided<readonly PromptChunk[]>)[which].map((chunk) => encoded.get(chunk) as EncodedChunk),
    );
    const tokens = (parts[0] as EncodedChunk[]).length * (info.textEncoders[0] as TextEncoderInfo).positions;
    const hidden = parts.map((chunks) => concat(chunks.map((chunk) => chunk.hidden)));
    const context = sideBySide(hidden, tokens);
    const pooled = Float32Array.from(parts.at(-1)?.[0]?.pooled ?? []);
    const zero = which === 'unconditional' && stage.emptyNegative && family.zeroEmptyNegative;
    if (zero) for (const values of [context, pooled]) values.fill(0);
    const vector = numbers ? { vector: Float32Array.of(...pooled, ...embedNumbers(numbers[which])) } : {};
    return { context, tokens, ...vector, ...guidance };
  };
  return { conditional: condition('conditional'), unconditional: condition('unconditional') };
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
