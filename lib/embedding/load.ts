// Words that stand for their own vectors (textual inversion, Gal et al. 2022), as the text encoders of a model use
// them: from embedding files, and from the model itself.

import { concat } from '../core/arrays.ts';
import { quote } from '../core/errors.ts';
import { warn } from '../core/warnings.ts';
import { quotePath } from '../files/user-file.ts';
import type { CheckedLoras } from '../lora/options.ts';
import { callNative } from '../native/call.ts';
import type { NativeAddon, TextEncoderInfo } from '../native/contract.ts';
import { LEFT_OUT } from '../text/chunks.ts';
import { type Trigger, WordFinder } from '../text/triggers.ts';
import { encoderName, type ModelWord } from './added-tokens.ts';
import { findEmbeddings, type NamedEmbedding, type ReadTensors } from './files.ts';
import { type CheckedEmbeddings, type EmbeddingFile, MOST_VALUES } from './options.ts';
import { tensorName, type WordVectors, wordVectors } from './words.ts';

/** An embedding that a prompt named. */
export interface EmbeddingReport {
  /** The word that stands for it. */
  readonly token: string;
  readonly path: string;
  /** The number of tokens that it replaces. */
  readonly vectors: number;
}

/** The embeddings of a call, ready for the text encoders of a model. */
export interface Embeddings {
  /** For each text encoder, what words stand for: tokens after CLIP's vocabulary, or placeholders. */
  readonly triggers: readonly WordFinder<Trigger>[];
  /** For each text encoder, the vectors of the tokens after its own vocabulary, `[n, width]`. */
  readonly vectors: readonly Float32Array[];
  readonly reports: readonly EmbeddingReport[];
}

/**
 * Reads the embeddings whose words occur in the texts. They take precedence over words of the model.
 *
 * @param own the words that the model defines.
 * @param texts the prompts without any syntax.
 * @param bundled the embeddings inside the active LoRAs.
 * @throws DiffusionError `ERR_FILE` if a file does not exist, `ERR_MODEL_CORRUPT` or `ERR_MODEL_UNSUPPORTED` if it is
 *   not a valid embedding, `ERR_MODEL_MISMATCH` if it was made for another text encoder.
 */
export async function loadEmbeddings(
  addon: NativeAddon,
  encoders: readonly TextEncoderInfo[],
  own: readonly ModelWord[],
  options: CheckedEmbeddings & Pick<CheckedLoras, 'loraTags'>,
  texts: readonly string[],
  bundled: readonly EmbeddingFile[],
  signal: AbortSignal,
): Promise<Embeddings> {
  const read: ReadTensors = (path) => callNative(addon, signal, (flag) => addon.readTensors(path, MOST_VALUES, flag));
  const named = await findEmbeddings(options, bundled, texts, read);
  const words: LoadedWord[] = [];
  // One after the other: each is read by its own thread.
  for (const one of named) words.push(await loadWord(encoders, one, read));
  const triggers = encoders.map(({ vocabulary }, i) => {
    let next = vocabulary;
    const tokensOf = ({ vectors, values }: LoadedWord) =>
      Array.from({ length: vectors }, () => (values[i] ? next++ : LEFT_OUT));
    return new WordFinder<Trigger>([
      ...own.map(({ word, tokens }) => [word, { word, tokens: tokens[i] as readonly number[] }] as const),
      ...words.map((word) => [word.token, { word: word.token, tokens: tokensOf(word) }] as const),
    ]);
  });
  warnOfLeftOut(encoders, triggers, texts);
  const vectors = encoders.map((_, i) => concat(words.flatMap(({ values }) => values[i] ?? [])));
  return { triggers, vectors, reports: words.flatMap(({ reports }) => reports) };
}

interface LoadedWord extends WordVectors {
  readonly token: string;
  readonly reports: readonly EmbeddingReport[];
}

/** Reads a word from its files: for each text encoder from the first one with vectors for it. */
async function loadWord(
  encoders: readonly TextEncoderInfo[],
  { token, files }: NamedEmbedding,
  read: ReadTensors,
): Promise<LoadedWord> {
  const found: (WordVectors & { readonly path: string })[] = [];
  let unfit: unknown;
  for (const file of files) {
    try {
      found.push({ ...wordVectors(encoders, file.tensors ?? (await read(file.path)), file), path: file.path });
    } catch (error) {
      if (files.length === 1) throw error;
      unfit ??= error;
    }
  }
  const [first] = found;
  if (!first) throw unfit;
  const used = encoders.map((_, i) => found.find(({ values, vectors }) => values[i] && vectors === first.vectors));
  const [another] = found.filter((one) => !used.includes(one));
  if (another) {
    const remedy = 'To use the other, give it in the option embeddings';
    const both = `${quotePath(first.path)} and ${quotePath(another.path)}`;
    warn(`${both} both define the word ${quote(token)}; the first is used. ${remedy}`);
  }
  if (unfit) warn((unfit as Error).message);
  const { vectors } = first;
  const reports = found.filter((one) => used.includes(one)).map(({ path }) => ({ token, path, vectors }));
  return { token, vectors, values: used.map((one, i) => one?.values[i]), reports };
}

/** A text encoder without vectors for a word reads the prompt without it, as in ComfyUI. */
function warnOfLeftOut(
  encoders: readonly TextEncoderInfo[],
  triggers: readonly WordFinder<Trigger>[],
  texts: readonly string[],
): void {
  for (const [i, finder] of triggers.entries()) {
    for (const part of texts.flatMap((text) => finder.split(text))) {
      if (typeof part === 'string' || !part.tokens.includes(LEFT_OUT)) continue;
      const encoder = `the ${encoderName(encoders, i)} (${tensorName(encoders[i] as TextEncoderInfo)})`;
      warn(`${quote(part.word)} has no vectors for ${encoder}, which reads the prompt without it`);
    }
  }
}
