// Words defined by a model: its tokenizers add them to CLIP's vocabulary, for rows that its text encoders have beyond
// it. diffusers saves pipelines like this after textual inversion.

import { dirname, join } from 'node:path';
import { DiffusionError, quote } from '../core/errors.ts';
import { warn } from '../core/warnings.ts';
import { quotePath } from '../files/user-file.ts';
import type { LoadedModelInfo, NativeSource, TextEncoderInfo } from '../native/contract.ts';
import { LEFT_OUT } from '../text/chunks.ts';
import { spellings } from '../text/spellings.ts';
import { type AddedToken, parseAddedTokens, readEntries, TOKENIZER_FILES } from '../text/tokenizer-files.ts';
import { VOCABULARY_SIZE } from '../text/vocabulary.ts';

/** A word of the model. */
export interface ModelWord {
  readonly word: string;
  /** The same number of tokens for each text encoder, or placeholders if it has none. */
  readonly tokens: readonly (readonly number[])[];
}

const MAX_WORD_LENGTH = 256;

/** Folder of the tokenizer of a second text encoder. */
const SECOND_TOKENIZER = 'tokenizer_2';

/**
 * The metadata keys under which a single file has the words of both tokenizers, in the format of `added_tokens.json`.
 */
const METADATA_KEYS = ['diffusers.tokenizer.added_tokens', 'diffusers.tokenizer_2.added_tokens'] as const;

/**
 * The words of a model's tokenizers as metadata for a single file.
 *
 * @throws DiffusionError like {@link readModelWords}.
 */
export async function carriedWords(source: NativeSource): Promise<Record<string, string>> {
  const metadata: Record<string, string> = {};
  for (const [i, key] of METADATA_KEYS.entries()) {
    const words = await wordsOf(tokenizerFolders(source, i === 1), Number.POSITIVE_INFINITY);
    if (words.size > 0) metadata[key] = JSON.stringify(Object.fromEntries(words));
  }
  return metadata;
}

/**
 * Reads the words of a model's tokenizers, if its text encoders have rows for them. Warns about rows that no word
 * reaches.
 *
 * @param tokenizers folder of the tokenizer of each text encoder.
 * @throws DiffusionError `ERR_FILE` if a file exists and cannot be read, `ERR_MODEL_CORRUPT` if it is not a valid
 *   tokenizer file, `ERR_MODEL_UNSUPPORTED` if it is too long, `ERR_MODEL_MISMATCH` if it has a word for a row that the
 *   text encoder lacks.
 */
export async function readModelWords(
  source: NativeSource,
  info: LoadedModelInfo,
  tokenizers: readonly string[],
): Promise<ModelWord[]> {
  const spelled: ReadonlyMap<string, readonly number[]>[] = [];
  for (const [i, encoder] of info.textEncoders.entries()) {
    const second = tokenizers[i] === SECOND_TOKENIZER;
    const words = await wordsOf(tokenizerFolders(source, second), encoder.vocabulary);
    const carried = info.metadata[METADATA_KEYS[second ? 1 : 0]];
    if (carried !== undefined)
      addWords(words, parseAddedTokens(carried, source.model ?? ''), encoder.vocabulary, source.model ?? '');
    const unreached = encoder.vocabulary - VOCABULARY_SIZE - new Set(words.values()).size;
    if (unreached > 0) {
      const rows = unreached === 1 ? '1 row' : `${unreached} rows`;
      const which = `The ${encoderName(info.textEncoders, i)} has ${rows} beyond CLIP's vocabulary`;
      const remedy = 'Words for them are read from the tokenizer in a diffusers folder';
      warn(`${which} that no word reaches; they are ignored. ${remedy}`);
    }
    spelled.push(spellings(words));
  }
  return [...new Set(spelled.flatMap((words) => [...words.keys()]))].map((word) => {
    const own = spelled.map((words) => words.get(word) ?? []);
    const length = Math.max(...own.map((tokens) => tokens.length));
    return { word, tokens: own.map((tokens) => [...tokens, ...Array(length - tokens.length).fill(LEFT_OUT)]) };
  });
}

/** The name of a text encoder in messages. */
export function encoderName(encoders: readonly TextEncoderInfo[], i: number): string {
  return encoders.length === 1 ? 'text encoder' : `${i === 0 ? 'first' : 'second'} text encoder`;
}

/** Where the tokenizer of a text encoder may be: in the model's folder, or next to a text encoder given separately. */
function tokenizerFolders(source: NativeSource, second: boolean): string[] {
  const name = second ? SECOND_TOKENIZER : 'tokenizer';
  const own = second ? source.textEncoder2 : source.textEncoder;
  if (own !== undefined) return [join(own, name), own, join(dirname(own), name)];
  return source.model === undefined ? [] : [join(source.model, name)];
}

/** Words of the first file that has some, and of the next ones while rows have no word. */
async function wordsOf(folders: readonly string[], rows: number): Promise<Map<string, number>> {
  const words = new Map<string, number>();
  for (const folder of folders) {
    for (const [name, entriesOf] of TOKENIZER_FILES) {
      if (new Set(words.values()).size === rows - VOCABULARY_SIZE) return words;
      const path = join(folder, name);
      addWords(words, await readEntries(path, entriesOf), rows, path);
    }
  }
  return words;
}

/** Adds the entries whose word is new. */
function addWords(words: Map<string, number>, entries: readonly AddedToken[], rows: number, path: string): void {
  for (const { word, token } of entries) {
    if (token < VOCABULARY_SIZE || word === '' || word.length > MAX_WORD_LENGTH || words.has(word)) continue;
    if (token >= rows) {
      const message = `row ${token} for the word ${quote(word)}, but the text encoder has ${rows}`;
      throw new DiffusionError('ERR_MODEL_MISMATCH', `${quotePath(path)} names ${message}`);
    }
    words.set(word, token);
  }
}
