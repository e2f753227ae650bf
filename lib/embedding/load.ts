// Embeddings of textual inversion (Gal et al. 2022) from their files, as the text encoders of a model take them.

import { DiffusionError } from '../errors.ts';
import type { CheckedLoras } from '../lora/options.ts';
import type { NativeAddon, NativeModelInfo, NativeTensor, NativeTextEncoder } from '../native/contract.ts';
import { callNative } from '../pipeline/native-call.ts';
import { CHUNK_BODY } from '../text/chunks.ts';
import { type Trigger, WordFinder } from '../text/triggers.ts';
import { findEmbeddings } from './files.ts';
import { type CheckedEmbeddings, type EmbeddingFile, MOST_VALUES } from './options.ts';

/** An embedding that a prompt named. */
export interface EmbeddingReport {
  /** The word that stands for it. */
  readonly token: string;
  readonly path: string;
  /** How many tokens it takes the place of. */
  readonly vectors: number;
}

/** The embeddings of a call, ready for the text encoders of a model. */
export interface Embeddings {
  /** What their words stand for: tokens behind the vocabulary, one a vector. */
  readonly triggers: WordFinder<Trigger>;
  /** For each text encoder the vectors of these tokens, `[n, width]`. */
  readonly vectors: readonly Float32Array[];
  readonly reports: readonly EmbeddingReport[];
}

/** Names of the tensors of embeddings that have one for each text encoder, by kind of encoder. */
const TENSOR_OF = { clip: 'clip_l', openclip: 'clip_g' } as const;

/**
 * Reads the embeddings whose words stand in the texts.
 *
 * @param texts what the prompts say, without any syntax.
 * @param bundled those that the LoRAs in force carry.
 * @throws DiffusionError `ERR_FILE` where a file is not there, `ERR_MODEL_CORRUPT` or `ERR_MODEL_UNSUPPORTED` where it is no sound
 *   embedding, `ERR_MODEL_MISMATCH` where it was made for another text encoder.
 */
export async function loadEmbeddings(
  addon: NativeAddon,
  { textEncoders }: NativeModelInfo,
  options: CheckedEmbeddings & Pick<CheckedLoras, 'loraTags'>,
  texts: readonly string[],
  bundled: readonly EmbeddingFile[],
  signal: AbortSignal,
): Promise<Embeddings> {
  const files = await findEmbeddings(options, bundled, texts);
  const read: ReadEmbedding[] = [];
  // One after the other: each is read by a thread of its own.
  for (const file of files) read.push(await readEmbedding(addon, textEncoders, file, signal));
  let next = textEncoders[0]?.vocabulary ?? 0;
  const triggers = read.map(({ token, vectors }) => {
    const tokens = Array.from({ length: vectors }, () => next++);
    return [token, { word: token, tokens }] as const;
  });
  const vectors = textEncoders.map((_, i) => joined(read.map(({ values }) => values[i] as Float32Array)));
  const reports = read.map(({ token, path, vectors }) => ({ token, path, vectors }));
  return { triggers: new WordFinder<Trigger>(triggers), vectors, reports };
}

interface ReadEmbedding extends EmbeddingReport {
  /** `[vectors, width]` for each text encoder. */
  readonly values: readonly Float32Array[];
}

async function readEmbedding(
  addon: NativeAddon,
  encoders: readonly NativeTextEncoder[],
  { token, path, tensors: given }: EmbeddingFile,
  signal: AbortSignal,
): Promise<ReadEmbedding> {
  const tensors = given ?? (await callNative(addon, signal, (flag) => addon.readTensors(path, MOST_VALUES, flag)));
  const own = tensorsFor(encoders, tensors, path);
  const counts = new Set(own.map(({ shape }) => (shape.length > 1 ? (shape[0] as number) : 1)));
  const [vectors = 0] = counts;
  if (counts.size > 1) {
    throw refused(
      'ERR_MODEL_CORRUPT',
      path,
      `as many vectors for each text encoder, found ${[...counts].join(' and ')}`,
    );
  }
  if (vectors > CHUNK_BODY) {
    throw refused(
      'ERR_MODEL_UNSUPPORTED',
      path,
      `at most the ${CHUNK_BODY} vectors that fit a chunk, found ${vectors}`,
    );
  }
  const values = own.map((tensor) => tensor.values);
  if (!values.every((numbers) => numbers.every(Number.isFinite))) {
    throw refused('ERR_MODEL_CORRUPT', path, 'finite numbers, found NaN or infinity');
  }
  return { token, path, vectors, values };
}

/** The tensor that a file has for each encoder, `[width]` or `[vectors, width]`. */
function tensorsFor(
  encoders: readonly NativeTextEncoder[],
  tensors: readonly NativeTensor[],
  path: string,
): NativeTensor[] {
  const names = tensors.slice(0, 3).map(({ name }) => `'${name}'`);
  const found = names.length > 0 ? `found tensors such as ${names.join(', ')}` : 'found no tensor of numbers';
  const isNamed = tensors.some(({ name }) => Object.values<string>(TENSOR_OF).includes(name));
  const [only, another] = candidates(tensors);
  if (!isNamed && (!only || another)) {
    throw refused('ERR_MODEL_UNSUPPORTED', path, `vectors of textual inversion, ${found}`);
  }
  return encoders.map(({ kind, width }) => {
    const forAll = encoders.length === 1 ? only : undefined;
    const tensor = isNamed ? tensors.find(({ name }) => name === TENSOR_OF[kind]) : forAll;
    if (!tensor) {
      throw refused('ERR_MODEL_MISMATCH', path, `'${TENSOR_OF[kind]}' for a text encoder of the model, ${found}`);
    }
    const [length] = tensor.shape.slice(-1);
    if (length === undefined || tensor.shape.length > 2) {
      throw refused('ERR_MODEL_UNSUPPORTED', path, `a shape of [vectors, ${width}], found [${tensor.shape}]`);
    }
    if (length === width) return tensor;
    const message = `vectors of ${width} numbers for the text encoder of the model, found some of ${length}`;
    throw refused('ERR_MODEL_MISMATCH', path, `${message}. It was made for a model of another family`);
  });
}

/** What may be the vectors for a single encoder: of AUTOMATIC1111, kohya-ss, or whatever word diffusers saved them under. */
function candidates(tensors: readonly NativeTensor[]): readonly NativeTensor[] {
  for (const name of [/^string_to_param\./, /^emb_params$/]) {
    const some = tensors.filter((tensor) => name.test(tensor.name));
    if (some.length > 0) return some;
  }
  return tensors;
}

function refused(code: DiffusionError['code'], path: string, expectedAndFound: string): DiffusionError {
  return new DiffusionError(code, `'${path}': expected ${expectedAndFound}`);
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let start = 0;
  for (const part of parts) {
    all.set(part, start);
    start += part.length;
  }
  return all;
}
