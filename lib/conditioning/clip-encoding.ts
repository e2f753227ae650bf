// Runs CLIP's text encoders over chunks of tokens, and joins their outputs.

import { concat } from '../core/arrays.ts';
import type { Guided } from '../guidance/index.ts';
import type { TextEncoderInfo } from '../native/contract.ts';
import type { Networks } from '../native/networks.ts';
import type { PromptChunk } from '../text/chunks.ts';
import { applyWeights } from '../text/weights.ts';
import type { StageChunks } from './clip-prompts.ts';
import type { TextConditioning } from './text-system.ts';

/** Output of one text encoder for one chunk: hidden states `[positions, width]`, and the pooled output. */
interface EncodedChunk {
  readonly hidden: Float32Array;
  readonly pooled: Float32Array;
}

/** How many chunks a text encoder takes at a time. */
const BATCH = 128;

/**
 * Encodes each different chunk once, and applies the weights of its tokens.
 *
 * @param stages chunks of each stage for each text encoder.
 * @param vectors for each text encoder, those of tokens after its vocabulary, `[n, width]`.
 * @returns for each text encoder, the outputs of all chunks.
 */
export async function encodeChunks(
  networks: Networks,
  stages: readonly StageChunks[],
  vectors: readonly Float32Array[],
  clipSkip: number,
): Promise<ReadonlyMap<PromptChunk, EncodedChunk>[]> {
  const encoders: ReadonlyMap<PromptChunk, EncodedChunk>[] = [];
  for (const [i, encoder] of networks.info.textEncoders.entries()) {
    const both = stages.map((chunks) => chunks[i] as Guided<readonly PromptChunk[]>);
    const chunks = new Set(both.flatMap(({ conditional, unconditional }) => [...conditional, ...unconditional]));
    encoders.push(await encodeWith(networks, encoder, [...chunks], vectors[i] as Float32Array, clipSkip));
  }
  return encoders;
}

async function encodeWith(
  networks: Networks,
  { component, positions, width, projection }: TextEncoderInfo,
  chunks: readonly PromptChunk[],
  vectors: Float32Array,
  clipSkip: number,
): Promise<Map<PromptChunk, EncodedChunk>> {
  const size = positions * width;
  const encoded = new Map<PromptChunk, EncodedChunk>();
  for (let start = 0; start < chunks.length; start += BATCH) {
    const batch = chunks.slice(start, start + BATCH);
    const inputs = {
      tokens: { data: concatTokens(batch), shape: [batch.length, positions] },
      vectors: vectors.length > 0 ? { data: vectors, shape: [vectors.length / width, width] } : undefined,
    };
    const outputs = await networks.encodeText(component, inputs, { clipSkip });
    const { hidden, pooled = new Float32Array() } = outputs as { hidden: Float32Array; pooled?: Float32Array };
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

function concatTokens(chunks: readonly PromptChunk[]): Int32Array {
  return Int32Array.from(chunks.flatMap(({ tokens }) => [...tokens]));
}

/**
 * What the chunks of one text condition on: the hidden states of all text encoders side by side, and the pooled output
 * of the last one for the first chunk.
 *
 * @param encoders outputs of each text encoder.
 * @param chunks those of the text, for each text encoder.
 */
export function joinChunks(
  encoders: readonly ReadonlyMap<PromptChunk, EncodedChunk>[],
  chunks: readonly (readonly PromptChunk[])[],
): TextConditioning {
  const parts = encoders.map((encoded, i) =>
    (chunks[i] as readonly PromptChunk[]).map((chunk) => encoded.get(chunk) as EncodedChunk),
  );
  const tokens = (chunks[0] as readonly PromptChunk[]).reduce((sum, chunk) => sum + chunk.tokens.length, 0);
  const hidden = parts.map((encoded) => concat(encoded.map((chunk) => chunk.hidden)));
  const pooled = Float32Array.from(parts.at(-1)?.[0]?.pooled ?? []);
  return { context: sideBySide(hidden, tokens), tokens, pooled };
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
