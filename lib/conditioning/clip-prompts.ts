// From the texts of a call to chunks of CLIP's tokens, for each stage and text encoder.

import { isTurnOver, nextTurn } from '../async/slices.ts';
import { argumentError } from '../core/errors.ts';
import type { Guided } from '../guidance/index.ts';
import { type EncodePromptOptions, encodePrompt, type PromptChunk, padChunks } from '../text/chunks.ts';
import { PromptText } from '../text/prompt-text.ts';
import type { PromptTexts } from './text-system.ts';

/**
 * The chunks of a stage for each text encoder: the encoders differ in their padding. Equal texts have the same chunk
 * objects.
 */
export type StageChunks = readonly Guided<readonly PromptChunk[]>[];

/** Of one text of a prompt, and in all texts of both prompts together. */
const MAX_CHUNKS = 64;
const MAX_DIFFERENT_CHUNKS = 1024;

/** The texts without any syntax, each different text once. */
export async function plainTexts({ stages }: PromptTexts): Promise<string[]> {
  const texts = new Map(
    stages.flatMap(({ conditional, unconditional }) => [conditional, unconditional]).map((text) => [text.text, text]),
  );
  const plain: string[] = [];
  for (const { sections } of texts.values()) {
    if (isTurnOver()) await nextTurn();
    for (const { text } of sections.flat()) plain.push(text);
  }
  return plain;
}

/**
 * Splits both texts of each stage into the same number of chunks.
 *
 * @param encoders tokenizer, padding and words of each text encoder.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for more than 64 chunks in a text or 1024 different ones in all.
 */
export async function chunkStages(
  { stages, used }: PromptTexts,
  encoders: readonly EncodePromptOptions[],
): Promise<StageChunks[]> {
  const chunkers = encoders.map(chunkerFor);
  const different = new Set<PromptChunk>();
  const chunked: StageChunks[] = [];
  for (const stage of stages) {
    const chunks: Guided<readonly PromptChunk[]>[] = [];
    for (const chunk of chunkers) chunks.push(await chunkBoth(chunk, stage, used));
    for (const { conditional, unconditional } of chunks) {
      for (const chunk of [...conditional, ...unconditional]) different.add(chunk);
    }
    if (different.size > MAX_DIFFERENT_CHUNKS * chunkers.length) throw tooMany('prompt', MAX_DIFFERENT_CHUNKS, 'more');
    chunked.push(chunks);
  }
  return chunked;
}

type Chunker = (text: PromptText, name: string) => Promise<readonly PromptChunk[]>;

/** Splits each different text once. Parsing the longest takes some milliseconds, and edits may make many. */
function chunkerFor(options: EncodePromptOptions): Chunker {
  const known = new Map<string, readonly PromptChunk[]>();
  return async (text, name) => {
    if (isTurnOver()) await nextTurn();
    const chunks = known.get(text.text) ?? (await encodePrompt(text, options));
    known.set(text.text, chunks);
    if (chunks.length > MAX_CHUNKS) throw tooMany(name, MAX_CHUNKS, `${chunks.length}`);
    return chunks;
  };
}

const EMPTY = new PromptText('');

/**
 * If one prompt is not used, the other takes its place, so that it is not padded to the length of one that is never
 * read.
 */
async function chunkBoth(
  chunk: Chunker,
  { conditional: prompt, unconditional: negativePrompt }: Guided<PromptText>,
  used: Guided<boolean>,
): Promise<Guided<readonly PromptChunk[]>> {
  if (!used.unconditional) return bothOf(await chunk(prompt, 'prompt'));
  if (!used.conditional) return bothOf(await chunk(negativePrompt, 'negativePrompt'));
  const [empty] = await chunk(EMPTY, 'prompt');
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
