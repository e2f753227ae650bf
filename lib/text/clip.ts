// CLIP's part of a family: its tokenizer, and which text encoders it fits.

import { DiffusionError } from '../core/errors.ts';
import type { TextEncoderInfo } from '../native/contract.ts';
import { CHUNK_LENGTH, LONG_CHUNK_LENGTH } from './chunks.ts';
import { type ClipTokenizer, loadClipTokenizer } from './tokenizer.ts';
import { VOCABULARY_SIZE } from './vocabulary.ts';

/** How a family of models makes tokens of text. */
export interface TextSystem {
  load(): Promise<ClipTokenizer>;
  /** @throws DiffusionError `ERR_MODEL_UNSUPPORTED` where a model's text encoders are not made for these tokens. */
  check(encoders: readonly TextEncoderInfo[]): void;
}

export const CLIP: TextSystem = { load: loadClipTokenizer, check };

/** A text encoder with fewer tokens was made for another tokenizer. One with more has them for words of its own. */
function check(encoders: readonly TextEncoderInfo[]): void {
  for (const { positions, vocabulary } of encoders) {
    const isKnown = positions === CHUNK_LENGTH || positions === LONG_CHUNK_LENGTH;
    if (isKnown && vocabulary >= VOCABULARY_SIZE) continue;
    const expected = `a text encoder of CLIP with ${CHUNK_LENGTH} positions (LongCLIP: ${LONG_CHUNK_LENGTH}) and at least ${VOCABULARY_SIZE} tokens`;
    const received = `one with ${positions} positions and ${vocabulary} tokens`;
    throw new DiffusionError('ERR_MODEL_UNSUPPORTED', `Expected ${expected} but the model has ${received}`);
  }
  const positions = encoders.map((encoder) => encoder.positions);
  if (new Set(positions).size > 1) {
    const expected = 'text encoders of as many positions each, so that what they say of a token stands side by side';
    const remedy = `LongCLIP has ${LONG_CHUNK_LENGTH}: use CLIP's text encoder in its place`;
    throw new DiffusionError(
      'ERR_MODEL_UNSUPPORTED',
      `Expected ${expected}, but the model has some of ${positions.join(' and ')}. ${remedy}`,
    );
  }
}
