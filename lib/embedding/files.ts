// From the folder of embeddings to the files that a prompt names.

import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { DiffusionError } from '../errors.ts';
import { isInside } from '../inside.ts';
import type { CheckedLoras } from '../lora/options.ts';
import { WordFinder } from '../text/triggers.ts';
import { type CheckedEmbeddings, type EmbeddingFile, wordOf } from './options.ts';

const EXTENSIONS = new Set(['.safetensors', '.pt', '.bin', '.ckpt', '.pth']);

/**
 * The embeddings whose words stand in the texts. What a call gives by itself goes before those that its LoRAs carry, and these before a
 * file of that name in the folder, whose subfolders are not looked into.
 *
 * @param bundled those that LoRAs carry.
 * @throws DiffusionError `ERR_FILE` where the folder cannot be read, where a file in it that the texts name is a link out of it
 *   (unless prompts may give paths), and where two files in it, or two LoRAs, go by a word of the texts.
 */
export async function findEmbeddings(
  { embeddings, embeddingDirectory, loraTags }: CheckedEmbeddings & Pick<CheckedLoras, 'loraTags'>,
  bundled: readonly EmbeddingFile[],
  texts: readonly string[],
): Promise<EmbeddingFile[]> {
  const inFolder = embeddingDirectory === undefined ? [] : await filesIn(embeddingDirectory);
  const files = new Map([...byWord(inFolder), ...byWord(bundled), ...byWord(embeddings)]);
  const finder = new WordFinder([...files].map(([word, those]) => [word, those] as const));
  const named = new Set(texts.flatMap((text) => finder.split(text)).filter((part) => typeof part !== 'string'));
  if (embeddingDirectory !== undefined && loraTags === 'names') {
    for (const [file] of named) if (file && inFolder.includes(file)) await requireInside(embeddingDirectory, file);
  }
  return [...named].map(([file, twin]) => {
    if (!twin) return file as EmbeddingFile;
    const expected = `one embedding by the name of '${twin.token}'`;
    const remedy = 'Rename one of them, or leave one out';
    throw new DiffusionError(
      'ERR_FILE',
      `Expected ${expected} but found '${file?.path}' and '${twin.path}'. ${remedy}`,
    );
  });
}

function byWord(files: readonly EmbeddingFile[]): Map<string, EmbeddingFile[]> {
  const words = new Map<string, EmbeddingFile[]>();
  for (const file of files) {
    const word = file.token.toLowerCase();
    words.set(word, [...(words.get(word) ?? []), file]);
  }
  return words;
}

async function requireInside(folder: string, { token, path }: EmbeddingFile): Promise<void> {
  if (await isInside(folder, path)) return;
  const message = `Expected the embedding '${token}' in the folder of embeddings, but it is a link that leads out of it`;
  throw new DiffusionError('ERR_FILE', `${message}. Give it in the option embeddings`);
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
