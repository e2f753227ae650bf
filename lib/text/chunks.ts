// From a prompt to the chunks of 77 tokens that a CLIP text encoder accepts (248 for LongCLIP), with a weight for each
// token.
import { isTurnOver, nextTurn } from '../async/slices.ts';
import type { PromptText } from './prompt-text.ts';
import type { ClipTokenizer } from './tokenizer.ts';
import { type Trigger, WordFinder } from './triggers.ts';

/** Tokens in a chunk: the length of CLIP's position table. */
export const CHUNK_LENGTH = 77;
/** The same for LongCLIP (Zhang et al. 2024, arXiv:2403.15378), which is CLIP with more positions. */
export const LONG_CHUNK_LENGTH = 248;
/** Prompt tokens in a chunk, between its start and end tokens. */
export const CHUNK_BODY = CHUNK_LENGTH - 2;
/**
 * A placeholder token: it takes up space when chunks are cut, and is then omitted. So the chunks of several text
 * encoders end at the same words even if one of the encoders has no vectors for a word.
 */
export const LEFT_OUT = -1;

const NO_TRIGGERS = new WordFinder<Trigger>([]);

/** One input of the text encoder. */
export interface PromptChunk {
  /** `[positions]`: the start token, up to 75 tokens of the prompt (246 of 248 positions), the end token, padding. */
  readonly tokens: Int32Array;
  /** `[positions]`: the attention weight of each token; 1 for start, end and padding. */
  readonly weights: Float32Array;
}

export interface EncodePromptOptions {
  readonly tokenizer: ClipTokenizer;
  /** Token that fills the last chunk after its end token: 49407 (the end token) for SD 1, 0 for SD 2. */
  readonly pad: number;
  /** Tokens in a chunk: the number of positions of the text encoder. Default 77. */
  readonly positions?: number;
  /** Words that stand for their own tokens. Default none. */
  readonly triggers?: WordFinder<Trigger> | undefined;
}

/**
 * Splits a prompt of any length into chunks; an empty one gives one chunk without body. The texts between its weights
 * are tokenized separately and cut every 75 tokens, wherever that falls. `BREAK` fills its chunk with end tokens
 * (whatever `pad` is) and starts the next; at the border of two chunks, and so at the start or after another `BREAK`,
 * it does nothing. A trigger whose tokens do not fit into the rest of a chunk starts the next in the same way.
 *
 * Long prompts are split over turns of the event loop.
 *
 * This is the chunking of stable-diffusion.cpp. AUTOMATIC1111's web UI agrees up to 75 tokens; beyond that, it moves
 * the tokens after a comma among the last 20 of a chunk to the next chunk, turns a `BREAK` at a border into an empty
 * chunk, and fills with `pad` before a `BREAK`.
 *
 * @throws RangeError `ERR_INVALID_ARG_VALUE` as {@link PromptText.sections}
 */
export async function encodePrompt(prompt: PromptText, options: EncodePromptOptions): Promise<PromptChunk[]> {
  const { tokenizer, pad, positions = CHUNK_LENGTH, triggers = NO_TRIGGERS } = options;
  const bodyLength = positions - 2;
  const places: [token: number, weight: number][] = [];
  const fillChunk = () => {
    while (places.length % bodyLength !== 0) places.push([tokenizer.endToken, 1]);
  };
  for (const section of prompt.sections) {
    if (isTurnOver()) await nextTurn();
    // A section after a BREAK starts a chunk, unless it is already at the start of one.
    fillChunk();
    for (const { text, weight } of section) {
      for (const part of triggers.split(text)) {
        const some = typeof part === 'string' ? await tokenizer.encode(part) : part.tokens;
        if (typeof part !== 'string' && (places.length % bodyLength) + some.length > bodyLength) fillChunk();
        for (const token of some) places.push([token, weight]);
      }
    }
  }

  const chunks: PromptChunk[] = [];
  for (let i = 0; i === 0 || i < places.length; i += bodyLength) {
    if (isTurnOver()) await nextTurn();
    const body = places.slice(i, i + bodyLength).filter(([token]) => token !== LEFT_OUT);
    const chunk = {
      tokens: new Int32Array(positions).fill(pad),
      weights: new Float32Array(positions).fill(1),
    };
    chunk.tokens.set([tokenizer.startToken, ...body.map(([token]) => token), tokenizer.endToken]);
    for (const [at, [, weight]] of body.entries()) chunk.weights[at + 1] = weight;
    chunks.push(chunk);
  }
  return chunks;
}

/**
 * Brings two prompts to the same number of chunks, so that they can be evaluated in one batch. The shorter one is
 * repeated as a whole while that fits: cross-attention over repeated keys and values equals that over one copy, so a
 * prompt of one chunk is exact in any combination, as if both were evaluated separately (the default of the web UI, and
 * what stable-diffusion.cpp does). The remainder is filled with `empty`, the one chunk of an empty prompt, which takes
 * a share of the attention (the web UI's option "pad prompt/negative prompt to be same length").
 */
export function padChunks(
  a: readonly PromptChunk[],
  b: readonly PromptChunk[],
  empty: PromptChunk,
): [PromptChunk[], PromptChunk[]] {
  const count = Math.max(a.length, b.length);
  return [extend(a, count, empty), extend(b, count, empty)];
}

function extend(chunks: readonly PromptChunk[], count: number, empty: PromptChunk): PromptChunk[] {
  const repeated = count - (count % chunks.length);
  return Array.from({ length: count }, (_, i) => (i < repeated ? (chunks[i % chunks.length] as PromptChunk) : empty));
}
