// The words that a transformers tokenizer adds to its vocabulary, according to its files.

import { DiffusionError, describe } from '../core/errors.ts';
import { quotePath, readUserFile } from '../files/user-file.ts';
import { normalize } from './normalize.ts';

/** A word and its token. */
export interface AddedToken {
  readonly word: string;
  readonly token: number;
}

type Json = Readonly<Record<string, unknown>>;
type Entries = (json: Json) => readonly (readonly [word: unknown, token: unknown])[];

/**
 * The files that list such words, and the format of each. (`special_tokens_map.json` lists some without their tokens,
 * which are in the others.)
 */
export const TOKENIZER_FILES: readonly (readonly [name: string, entries: Entries])[] = [
  ['added_tokens.json', Object.entries],
  [
    'tokenizer_config.json',
    ({ added_tokens_decoder: words = {} }) =>
      Object.entries(objectOf(words)).map(([token, entry]) => [objectOf(entry).content, Number(token)]),
  ],
  [
    'tokenizer.json',
    ({ added_tokens: words = [] }) => {
      if (!Array.isArray(words)) throw new Unexpected(`a list of added_tokens, found ${describe(words)}`);
      return words.map((entry) => [objectOf(entry).content, objectOf(entry).id]);
    },
  ],
];

/** More than any CLIP tokenizer needs: its `tokenizer.json` has 4 MB. */
const MAX_BYTES = 16 * 1024 * 1024;
const MAX_TOKEN = 2 ** 31 - 1;

/** What a file should contain, and what it does contain. */
class Unexpected extends Error {}

/**
 * The words that a file lists; none if it does not exist.
 *
 * @throws DiffusionError `ERR_FILE` if it cannot be read, `ERR_MODEL_UNSUPPORTED` if it has more than 16 MiB,
 *   `ERR_MODEL_CORRUPT` if it is not a valid tokenizer file.
 */
export async function readEntries(path: string, entriesOf: Entries): Promise<AddedToken[]> {
  const text = await readIfThere(path);
  return text === undefined ? [] : parseEntries(text, path, entriesOf);
}

/**
 * The words in the text of an `added_tokens.json`.
 *
 * @param path for error messages.
 * @throws DiffusionError `ERR_MODEL_CORRUPT` if it is not valid.
 */
export function parseAddedTokens(text: string, path: string): AddedToken[] {
  return parseEntries(text, path, Object.entries);
}

function parseEntries(text: string, path: string, entriesOf: Entries): AddedToken[] {
  try {
    return entriesOf(objectOf(JSON.parse(text))).map(([word, token]) => {
      if (typeof word !== 'string') throw new Unexpected(`a word, found ${describe(word)}`);
      if (!Number.isInteger(token) || (token as number) < 0 || (token as number) > MAX_TOKEN) {
        throw new Unexpected(`a token number for the word ${describe(word)}, found ${describe(token)}`);
      }
      return { word: normalize(word).trim(), token: token as number };
    });
  } catch (error) {
    const { message } = error as Error;
    const expected = error instanceof Unexpected ? message : `JSON, found something else: ${message.slice(0, 200)}`;
    throw new DiffusionError('ERR_MODEL_CORRUPT', `${quotePath(path)}: expected ${expected}`);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return (await readUserFile(path, { maxBytes: MAX_BYTES, tooLarge: 'ERR_MODEL_UNSUPPORTED' })).toString('utf8');
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function objectOf(value: unknown): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new Unexpected(`an object, found ${describe(value)}`);
}
