// Finds the files in the embedding folder that a prompt names.

import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { isTurnOver, nextTurn } from '../async/slices.ts';
import { DiffusionError, type DiffusionErrorCode, quote } from '../core/errors.ts';
import { isInside } from '../files/inside.ts';
import { quotePath, systemMessage } from '../files/user-file.ts';
import type { CheckedLoras } from '../lora/options.ts';
import type { NativeTensor } from '../native/contract.ts';
import { spellings } from '../text/spellings.ts';
import { WordFinder } from '../text/triggers.ts';
import { type CheckedEmbeddings, type EmbeddingFile, wordOf } from './options.ts';
import { tensorsByWord } from './words.ts';

const EXTENSIONS = new Set(['.safetensors', '.pt', '.bin', '.ckpt', '.pth']);
/** Errors about a file itself. */
const UNREADABLE: ReadonlySet<DiffusionErrorCode> = new Set(['ERR_FILE', 'ERR_MODEL_CORRUPT', 'ERR_MODEL_UNSUPPORTED']);

/** Reads the tensors of a file. */
export type ReadTensors = (path: string) => Promise<readonly NativeTensor[]>;

/** A word of the texts and where its vectors are. */
export interface NamedEmbedding {
  readonly token: string;
  /** More than one if several files define the word: diffusers saves one for each of SDXL's text encoders. */
  readonly files: readonly EmbeddingFile[];
}

/**
 * The embeddings whose words occur in the texts: files by their names, and by the words stored in them. The call's own
 * embeddings take precedence over those in its LoRAs, and these over files in the folder (not its subfolders). In each,
 * file names take precedence over words in files.
 *
 * @param bundled the embeddings inside LoRAs.
 * @throws DiffusionError `ERR_FILE` if the folder cannot be read, if a file that the texts name is a link out of the
 *   folder (unless prompts may contain paths), or if two files in it, or two LoRAs, have the same word of the texts as
 *   their name.
 */
export async function findEmbeddings(
  { embeddings, embeddingDirectory, loraTags }: CheckedEmbeddings & Pick<CheckedLoras, 'loraTags'>,
  bundled: readonly EmbeddingFile[],
  texts: readonly string[],
  read: ReadTensors,
): Promise<NamedEmbedding[]> {
  const inFolder = embeddingDirectory === undefined ? [] : await filesIn(embeddingDirectory);
  const insideThose = await wordsInside(inFolder, texts, read);
  const insideGiven = await wordsInside(embeddings, texts, read);
  const words = new Map([insideThose, inFolder, bundled, insideGiven, embeddings].flatMap((files) => byWord(files)));
  const finder = new WordFinder(words);
  const named = new Set(texts.flatMap((text) => finder.split(text)).filter((part) => typeof part !== 'string'));
  if (embeddingDirectory !== undefined && loraTags === 'names') {
    const ofFolder = new Set([...inFolder, ...insideThose]);
    for (const file of [...named].flat()) if (ofFolder.has(file)) await requireInside(embeddingDirectory, file);
  }
  return [...named].map((files) => {
    const [file, twin] = files as [EmbeddingFile, EmbeddingFile?];
    if (!twin || file.word !== undefined) return { token: file.token, files };
    const expected = `one embedding named ${quote(twin.token)}`;
    const remedy = 'Rename one of them, or omit one';
    throw new DiffusionError(
      'ERR_FILE',
      `Expected ${expected} but found ${quotePath(file.path)} and ${quotePath(twin.path)}. ${remedy}`,
    );
  });
}

/** The words in files that may occur in the texts. A file that cannot be read has none: no prompt has asked for it. */
async function wordsInside(
  files: readonly EmbeddingFile[],
  texts: readonly string[],
  read: ReadTensors,
): Promise<EmbeddingFile[]> {
  const all = texts.join('\n').toLowerCase();
  const found: EmbeddingFile[] = [];
  if (all.trim() === '') return found;
  for (const { path } of files) {
    const tensors = await read(path).catch((error: unknown) => {
      if (error instanceof DiffusionError && UNREADABLE.has(error.code)) return [];
      throw error;
    });
    for (const [word, parts] of spellings(tensorsByWord(tensors))) {
      if (isTurnOver()) await nextTurn();
      const isVectors = parts.flat().every(({ shape }) => shape.length === 1 || shape.length === 2);
      const isNamed = word !== '' && all.includes(word.toLowerCase());
      if (isVectors && isNamed) found.push({ token: word, path, word, tensors });
    }
  }
  return found;
}

function byWord(files: readonly EmbeddingFile[]): [word: string, files: EmbeddingFile[]][] {
  const words = new Map<string, EmbeddingFile[]>();
  for (const file of files) {
    const word = file.token.toLowerCase();
    words.set(word, [...(words.get(word) ?? []), file]);
  }
  return [...words];
}

async function requireInside(folder: string, { token, path }: EmbeddingFile): Promise<void> {
  if (await isInside(folder, path)) return;
  const message = `Expected the embedding ${quote(token)} in the embedding folder, but it is a link that leads out of it`;
  throw new DiffusionError('ERR_FILE', `${message}. Give it in the option embeddings`);
}

async function filesIn(folder: string): Promise<EmbeddingFile[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    const reason = `it cannot be read: ${systemMessage(error)}`;
    const message = `Expected the embedding folder at ${quotePath(folder)}, but ${reason}`;
    throw new DiffusionError('ERR_FILE', message, { cause: error });
  }
  return names
    .filter((name) => EXTENSIONS.has(extname(name).toLowerCase()))
    .sort()
    .map((name) => ({ token: wordOf(name), path: join(folder, name) }))
    .filter(({ token }) => token !== '');
}
