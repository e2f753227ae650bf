// From the folder of embeddings to the files that a prompt names.

import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { DiffusionError } from '../errors.ts';
import { WordFinder } from '../text/triggers.ts';
import { type CheckedEmbeddings, type EmbeddingFile, wordOf } from './options.ts';

const EXTENSIONS = new Set(['.safetensors', '.pt', '.bin', '.ckpt', '.pth']);

/**
 * The embeddings whose words stand in the texts. What a call gives by itself goes before a file of that name in the folder,
 * whose subfolders are not looked into.
 *
 * @throws DiffusionError `ERR_FILE` where the folder cannot be read, and where two files in it go by a word of the texts.
 */
export async function findEmbeddings(
  { embeddings, embeddingDirectory }: CheckedEmbeddings,
  texts: readonly string[],
): Promise<EmbeddingFile[]> {
  const files = new Map<string, EmbeddingFile[]>();
  for (const file of embeddingDirectory === undefined ? [] : await filesIn(embeddingDirectory)) {
    const word = file.token.toLowerCase();
    files.set(word, [...(files.get(word) ?? []), file]);
  }
  for (const file of embeddings) files.set(file.token.toLowerCase(), [file]);
  const finder = new WordFinder([...files].map(([word, those]) => [word, those] as const));
  const named = new Set(texts.flatMap((text) => finder.split(text)).filter((part) => typeof part !== 'string'));
  return [...named].map(([file, twin]) => {
    if (!twin) return file as EmbeddingFile;
    const expected = `one embedding by the name of '${twin.token}' in the folder`;
    const remedy = 'Rename one of them, or leave the folder out';
    throw new DiffusionError(
      'ERR_FILE',
      `Expected ${expected} but found '${file?.path}' and '${twin.path}'. ${remedy}`,
    );
  });
}

async function filesIn(folder: string): Promise<EmbeddingFile[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    const message = `Expected the folder of embeddings at '${folder}', but it cannot be read: ${(error as Error).message}`;
    throw new DiffusionError('ERR_FILE', message, { cause: error });
  }
  return names
    .filter((name) => EXTENSIONS.has(extname(name).toLowerCase()))
    .sort()
    .map((name) => ({ token: wordOf(name), path: join(folder, name) }))
    .filter(({ token }) => token !== '');
}
