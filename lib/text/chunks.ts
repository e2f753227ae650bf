// From a prompt to the 77-token chunks that a CLIP text encoder takes, with a weight for each token.
import { argumentError, describe } from '../errors.ts';
import { parseAttention } from './attention.ts';
import type { ClipTokenizer } from './tokenizer.ts';
import { type Trigger, WordFinder } from './triggers.ts';

/** Tokens in a chunk: the length of CLIP's position table. */
export const CHUNK_LENGTH = 77;
/** Tokens of the prompt in a chunk, between its start and its end token. */
export const CHUNK_BODY = CHUNK_LENGTH - 2;

const NO_TRIGGERS = new WordFinder<Trigger>([]);

/** One input of the text encoder. */
export interface PromptChunk {
  /** `[77]`: the start token, up to 75 tokens of the prompt, the end token, padding. */
  readonly tokens: Int32Array;
  /** `[77]`: the attention weight of each token; 1 for start, end and padding. */
  readonly weights: Float32Array;
}

export interface EncodePromptOptions {
  readonly tokenizer: ClipTokenizer;
  /** Token that fills the last chunk behind its end token: 49407 (the end token) for SD 1, 0 for SD 2. */
  readonly pad: number;
  /** Words that stand for tokens of their own. Default none. */
  readonly triggers?: WordFinder<Trigger> | undefined;
  /** The option that the text was given as, for the message of an error. Default `prompt`. */
  readonly name?: string;
}

/**
 * Splits a prompt of any length into chunks; an empty one gives one chunk without body. The attention syntax is that of
 * {@link parseAttention}. The texts between its weights are tokenized each for itself and cut every 75 tokens, wherever
 * that falls. `BREAK` fills the chunk that it stands in with end tokens (whatever `pad` is) and starts the next; at the
 * border of two chunks, and so at the start or after another `BREAK`, it does nothing. A trigger whose tokens do not fit into
 * what is left of a chunk starts the next in the same way.
 *
 * This is the chunking of stable-diffusion.cpp. AUTOMATIC1111's web UI agrees up to 75 tokens; beyond, it moves the tokens
 * behind a comma among the last 20 of a chunk to the next chunk, makes an empty chunk of a `BREAK` at a border, and
 * fills before a `BREAK` with `pad`.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE` where the prompt is not a string
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for weights that {@link parseAttention} refuses
 */
export function encodePrompt(prompt: string, options: EncodePromptOptions): PromptChunk[] {
  const { tokenizer, pad, triggers = NO_TRIGGERS, name = 'prompt' } = options;
  if (typeof prompt !== 'string') {
    const received = describe(prompt);
    throw argumentError([{ name, expected: 'a string', received, code: 'ERR_INVALID_ARG_TYPE' }]);
  }
  const tokens: number[] = [];
  const weights: number[] = [];
  const fillChunk = () => {
    while (tokens.length % CHUNK_BODY !== 0) {
      tokens.push(tokenizer.endToken);
      weights.push(1);
    }
  };
  for (const section of parseAttention(prompt, name)) {
    // A section behind a BREAK starts a chunk, unless it starts one already.
    fillChunk();
    for (const { text, weight } of section) {
      for (const part of triggers.split(text)) {
        const some = typeof part === 'string' ? tokenizer.encode(part) : part.tokens;
        if (typeof part !== 'string' && (tokens.length % CHUNK_BODY) + some.length > CHUNK_BODY) fillChunk();
        for (const token of some) {
          tokens.push(token);
          weights.push(weight);
        }
      }
    }
  }

  const chunks: PromptChunk[] = [];
  for (let i = 0; i === 0 || i < tokens.length; i += CHUNK_BODY) {
    const body = tokens.slice(i, i + CHUNK_BODY);
    const chunk = {
      tokens: new Int32Array(CHUNK_LENGTH).fill(pad),
      weights: new Float32Array(CHUNK_LENGTH).fill(1),
    };
    chunk.tokens.set([tokenizer.startToken, ...body, tokenizer.endToken]);
    chunk.weights.set(weights.slice(i, i + CHUNK_BODY), 1);
    chunks.push(chunk);
  }
  return chunks;
}

/**
 * Brings two prompts to the same number of chunks, so that they can be evaluated in one batch. The shorter one is
 * repeated as a whole while that fits: cross-attention over repeated keys and values is what it was over one copy, so
 * a prompt of one chunk stays exact beside any other, as if the two were evaluated apart (the default of the web UI, and
 * what stable-diffusion.cpp does). What then remains is filled with `empty`, the one chunk of an empty prompt, which
 * takes a share of the attention (the web UI's option "pad prompt/negative prompt to be same length").
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
