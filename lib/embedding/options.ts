// The options of a call for textual inversion embeddings.

import { basename, extname } from 'node:path';
import { describe } from '../core/errors.ts';
import type { NativeTensor } from '../native/contract.ts';
import { type OptionCheck, within } from '../options/check.ts';
import { normalize } from '../text/normalize.ts';

/** One embedding of a call. */
export interface EmbeddingOption {
  /** A safetensors or PyTorch file. */
  path: string;
  /**
   * The word in a prompt that stands for it, in any case. Default: the name of the file without its extension. Words
   * stored in the file work too.
   */
  token?: string | undefined;
}

/** A file and the word that stands for it. */
export interface EmbeddingFile {
  readonly token: string;
  readonly path: string;
  /** The word in the file, if the file is not used by its own name. */
  readonly word?: string;
  /** Its tensors, under the names that they would have in their own file, if it is part of another file. */
  readonly tensors?: readonly NativeTensor[];
}

export interface CheckedEmbeddings {
  readonly embeddings: readonly EmbeddingFile[];
  readonly embeddingDirectory: string | undefined;
}

/** More values than any embedding has: a chunk of vectors for each of several encoders. */
export const MOST_VALUES = 2 ** 20;
const MAX_EMBEDDINGS = 256;
const MAX_TOKEN_LENGTH = 256;

/** Checks the option `embeddings`; `check` collects the problems. */
export function checkEmbeddings(check: OptionCheck): readonly EmbeddingFile[] {
  const expected = `an array of at most ${MAX_EMBEDDINGS} { path, token }`;
  const given = check.list('embeddings', expected, MAX_EMBEDDINGS) ?? [];
  const embeddings: EmbeddingFile[] = [];
  for (const [i, embedding] of given.entries()) {
    const checked = check.attempt(() => checkEmbedding(embedding, `embeddings[${i}]`));
    if (!checked) continue;
    const twin = embeddings.find(({ token }) => token.toLowerCase() === checked.token.toLowerCase());
    if (twin) {
      const expected = 'a unique word';
      const received = `${describe(checked.token)}, which also stands for ${describe(twin.path)}`;
      check.problem({ name: `embeddings[${i}].token`, expected, received });
    }
    embeddings.push(checked);
  }
  return embeddings;
}

function checkEmbedding(value: unknown, name: string): EmbeddingFile {
  const check = within(value, name, ['path', 'token']);
  const path = check.path(`${name}.path`);
  const token = check.string(`${name}.token`, wordOf(path), MAX_TOKEN_LENGTH).trim();
  if (token === '')
    check.problem({ name: `${name}.token`, expected: 'a word', received: describe(check.value(`${name}.token`)) });
  check.done();
  return { token, path };
}

/** The word that stands for a file by default. */
export function wordOf(path: string): string {
  return normalize(basename(path, extname(path))).trim();
}
