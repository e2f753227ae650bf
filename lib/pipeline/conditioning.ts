// From the two prompts of a call to what the UNet is conditioned with.

import { argumentError } from '../errors.ts';
import { encodePrompt, type PromptChunk, padChunks } from '../text/chunks.ts';
import type { ClipTokenizer } from '../text/tokenizer.ts';
import { applyWeights } from '../text/weights.ts';
import type { CheckedGenerationOptions } from './generation-options.ts';
import type { Networks } from './networks.ts';

/** Hidden states that the UNet attends to. */
export interface Conditioning {
  /** `[tokens, width]` */
  readonly context: Float32Array;
  /** Number of tokens: 77 a chunk. */
  readonly tokens: number;
}

/** Something for the prompt and the same for the negative prompt. */
export interface Guided<T> {
  readonly conditional: T;
  readonly unconditional: T;
}

const MAX_CHUNKS = 64;

/**
 * Splits both prompts into equally many chunks. Where the guidance scale leaves one of them out of account, the other
 * stands for both, so that it is not padded to the length of one that is never read.
 *
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for malformed weights and for more than 64 chunks.
 */
export function chunkPrompts(
  tokenizer: ClipTokenizer,
  options: CheckedGenerationOptions,
): Guided<readonly PromptChunk[]> {
  const chunk = (text: string, name: string) => {
    const chunks = encodePrompt(text, { tokenizer, pad: tokenizer.endToken, name });
    if (chunks.length <= MAX_CHUNKS) return chunks;
    const expected = `at most ${MAX_CHUNKS} chunks of 75 tokens`;
    throw argumentError([{ name, expected, received: `${chunks.length}`, code: 'ERR_INVALID_ARG_VALUE' }]);
  };
  const positive = chunk(options.prompt, 'prompt');
  const negative = chunk(options.negativePrompt, 'negativePrompt');
  if (options.cfgScale === 1) return { conditional: positive, unconditional: positive };
  if (options.cfgScale === 0) return { conditional: negative, unconditional: negative };
  const [conditional, unconditional] = padChunks(positive, negative, chunk('', 'prompt')[0] as PromptChunk);
  return { conditional, unconditional };
}

/**
 * Runs the text encoder over the chunks of both prompts, each distinct chunk once, and applies the weights of their tokens.
 *
 * @param clipSkip layer whose output is used, counted from the last, which is 1.
 */
export async function encodePrompts(
  networks: Networks,
  { conditional, unconditional }: Guided<readonly PromptChunk[]>,
  clipSkip: number,
): Promise<Guided<Conditioning>> {
  const { textPositions, textWidth } = networks.info;
  const chunks = [...new Set([...conditional, ...unconditional])];
  const tokens = new Int32Array(chunks.length * textPositions);
  for (const [i, chunk] of chunks.entries()) tokens.set(chunk.tokens, i * textPositions);
  const hidden = await networks.encodeText(tokens, clipSkip);
  applyWeights(
    hidden,
    chunks.map(({ weights }) => weights),
  );

  const size = textPositions * textWidth;
  const contextOf = (prompt: readonly PromptChunk[]): Conditioning => {
    const context = new Float32Array(prompt.length * size);
    for (const [i, chunk] of prompt.entries()) {
      const start = chunks.indexOf(chunk) * size;
      context.set(hidden.subarray(start, start + size), i * size);
    }
    return { context, tokens: prompt.length * textPositions };
  };
  return { conditional: contextOf(conditional), unconditional: contextOf(unconditional) };
}
