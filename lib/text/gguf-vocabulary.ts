// Reads T5's vocabulary from the metadata of its GGUF files, as llama.cpp's converter writes it.
import { callNative } from '../native/call.ts';
import type { NativeAddon, NativeMetadata } from '../native/contract.ts';
import type { UnigramVocabulary } from './unigram-tokenizer.ts';
import { unigramVocabulary } from './unigram-vocabulary.ts';
import { corruptVocabulary, unsupportedVocabulary } from './vocabulary-error.ts';

const PREFIX = 'tokenizer.ggml.';

/**
 * @throws DiffusionError `ERR_FILE` if the file cannot be read, `ERR_MODEL_UNSUPPORTED` if it is not GGUF or has no
 *   unigram vocabulary with T5's rules for spaces, `ERR_MODEL_CORRUPT` if it contradicts itself.
 */
export async function readGgufUnigram(
  addon: NativeAddon,
  path: string,
  signal: AbortSignal | undefined,
): Promise<UnigramVocabulary> {
  const values = await callNative(addon, signal, (flag) => addon.readMetadata(path, PREFIX, flag));
  const text = (key: string): string | undefined => values.metadata[PREFIX + key];
  if (text('model') !== 't5') {
    throw unsupportedVocabulary(path, `a vocabulary of T5, found ${text('model') === undefined ? 'none' : 'another'}`);
  }
  for (const rule of ['add_space_prefix', 'remove_extra_whitespaces']) {
    if ((text(rule) ?? 'true') === 'true') continue;
    throw unsupportedVocabulary(path, 'spaces to be treated as in T5 (a mark before each word, runs joined)');
  }
  const token = (key: string, absent: number): number => {
    const number = Number(text(`${key}_token_id`) ?? absent);
    if (Number.isInteger(number) && number >= 0) return number;
    throw corruptVocabulary(path, `a token number as ${PREFIX}${key}_token_id, found something else`);
  };
  const tokens = arrayOf(values, 'tokens', path);
  const starts = new Uint32Array(tokens.ends.length);
  for (let i = 1; i < starts.length; i++) starts[i] = tokens.ends[i - 1] as number;
  const map = values.arrays[`${PREFIX}precompiled_charsmap`]?.numbers ?? [];
  return unigramVocabulary(
    {
      pieces: { bytes: tokens.bytes, starts, ends: tokens.ends },
      scores: arrayOf(values, 'scores', path).numbers,
      types: Uint8Array.from(arrayOf(values, 'token_type', path).numbers),
      // Some writers declare its bytes as signed ones.
      characterMap: Uint8Array.from(map),
      unknownToken: token('unknown', 2),
      endToken: token('eos', 1),
      padToken: token('padding', 0),
    },
    path,
  );
}

function arrayOf({ arrays }: NativeMetadata, key: string, path: string) {
  const array = arrays[PREFIX + key];
  if (array) return array;
  throw corruptVocabulary(path, `an array ${PREFIX}${key} in the metadata, found none`);
}
