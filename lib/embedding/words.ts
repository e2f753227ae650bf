// The words in a textual inversion file, and their vectors for the text encoders of a model.

import { concat } from '../core/arrays.ts';
import { DiffusionError, quote } from '../core/errors.ts';
import { quotePath } from '../files/user-file.ts';
import type { NativeTensor, TextEncoderInfo } from '../native/contract.ts';
import { CHUNK_BODY } from '../text/chunks.ts';
import { normalize } from '../text/normalize.ts';
import { spellings } from '../text/spellings.ts';
import type { EmbeddingFile } from './options.ts';

/** What a word stands for. */
export interface WordVectors {
  readonly vectors: number;
  /** For each text encoder `[vectors, width]`; undefined if the file has none for it. */
  readonly values: readonly (Float32Array | undefined)[];
}

/** Tensors by word; those without a word are under `''`. */
export type TensorsByWord = ReadonlyMap<string, readonly NativeTensor[]>;

/**
 * Names of the tensors for one of several text encoders, by encoder: in most programs, and in diffusers' pivotal
 * tuning.
 */
const TENSORS_OF = { clip: ['clip_l', 'text_encoders_0'], openclip: ['clip_g', 'text_encoders_1'] } as const;
/** AUTOMATIC1111 stores its words in a dictionary, where `*` stands for the file's name. */
const DICTIONARY = 'string_to_param.';
/** Names of tensors that are not words: a bare tensor, kohya-ss's, and those for one encoder. */
const NO_WORDS: ReadonlySet<string> = new Set(['', '*', 'emb_params', ...TENSORS_OF.clip, ...TENSORS_OF.openclip]);

/** Groups the tensors of a file by word. diffusers names each tensor after its word. */
export function tensorsByWord(tensors: readonly NativeTensor[]): TensorsByWord {
  const inDictionary = tensors
    .filter(({ name }) => name.startsWith(DICTIONARY))
    .map((tensor) => ({ ...tensor, name: tensor.name.slice(DICTIONARY.length) }));
  const all = inDictionary.length > 0 ? inDictionary : tensors;
  const nameless = all.filter(({ name }) => NO_WORDS.has(name));
  const words = new Map<string, NativeTensor[]>();
  for (const tensor of inDictionary.length === 0 && nameless.length > 0 ? nameless : all) {
    const word = NO_WORDS.has(tensor.name) ? '' : normalize(tensor.name).trim();
    const those = words.get(word);
    if (those) those.push(tensor);
    else words.set(word, [tensor]);
  }
  return words;
}

/**
 * The vectors of a file, or of a word in it.
 *
 * @throws DiffusionError `ERR_MODEL_UNSUPPORTED` if it is not an embedding, or the file has several words;
 *   `ERR_MODEL_CORRUPT`; `ERR_MODEL_MISMATCH` if it has nothing for any of the encoders, or vectors of another width.
 */
export function wordVectors(
  encoders: readonly TextEncoderInfo[],
  tensors: readonly NativeTensor[],
  file: EmbeddingFile,
): WordVectors {
  const parts = partsOf(tensorsByWord(tensors), file).map((part) => vectorsOf(encoders, part, file.path));
  const vectors = parts.reduce((sum, part) => sum + part.vectors, 0);
  if (vectors > CHUNK_BODY) {
    const message = `at most the ${CHUNK_BODY} vectors that fit a chunk, found ${vectors}`;
    throw refused('ERR_MODEL_UNSUPPORTED', file.path, message);
  }
  const values = encoders.map((_, i) => {
    const all = parts.flatMap((part) => part.values[i] ?? []);
    return all.length === parts.length ? concat(all) : undefined;
  });
  return { vectors, values };
}

/** The tensors of a word, in order: a word with several vectors may be written as several words. */
function partsOf(words: TensorsByWord, { path, token, word }: EmbeddingFile): readonly (readonly NativeTensor[])[] {
  const spelled = spellings(words);
  if (word !== undefined) return spelled.get(word) ?? [];
  if (words.size === 0) {
    throw refused('ERR_MODEL_UNSUPPORTED', path, 'vectors of textual inversion, found no numeric tensor');
  }
  const whole = [...spelled.values()].find(({ length }) => length === words.size);
  if (whole) return whole;
  const some = [...words.keys()].slice(0, 3).map((name) => quote(name));
  const found = `those of ${words.size}: ${some.join(', ')}${words.size > some.length ? ', ...' : ''}`;
  const message = `vectors of textual inversion for one word, ${quote(token)}, found ${found}`;
  throw refused('ERR_MODEL_UNSUPPORTED', path, `${message}. If it has several words, use those, not ${quote(token)}`);
}

/** Assigns each text encoder its tensor: by the name of the tensor, otherwise by the width of its vectors. */
function vectorsOf(encoders: readonly TextEncoderInfo[], tensors: readonly NativeTensor[], path: string): WordVectors {
  const left = new Set(tensors);
  const own = encoders.map((encoder) => {
    const tensor = [...left].find((one) => isFor(encoder, one));
    if (tensor) left.delete(tensor);
    return tensor;
  });
  const found = own.filter((tensor) => tensor !== undefined);
  if (found.length === 0) throw unfit(encoders, tensors, path);
  for (const [i, tensor] of own.entries()) if (tensor) requireShape(encoders[i] as TextEncoderInfo, tensor, path);
  const counts = new Set(found.map(({ shape }) => (shape.length > 1 ? (shape[0] as number) : 1)));
  if (counts.size > 1) {
    const message = `the same number of vectors for each text encoder, found ${[...counts].join(' and ')}`;
    throw refused('ERR_MODEL_CORRUPT', path, message);
  }
  const [vectors = 0] = counts;
  const values = own.map((tensor) => tensor?.values);
  if (!values.every((numbers) => numbers?.every(Number.isFinite) ?? true)) {
    throw refused('ERR_MODEL_CORRUPT', path, 'finite numbers, found NaN or infinity');
  }
  return { vectors, values };
}

function isFor({ kind, width }: TextEncoderInfo, { name, shape }: NativeTensor): boolean {
  const kinds = Object.keys(TENSORS_OF) as (keyof typeof TENSORS_OF)[];
  const named = kinds.find((one) => (TENSORS_OF[one] as readonly string[]).includes(name));
  return named ? named === kind : shape.at(-1) === width;
}

function requireShape({ width }: TextEncoderInfo, { shape }: NativeTensor, path: string): void {
  const [length] = shape.slice(-1);
  if (length === undefined || shape.length > 2) {
    throw refused('ERR_MODEL_UNSUPPORTED', path, `a shape of [vectors, ${width}], found [${shape}]`);
  }
  if (length !== width) throw wrongWidth(`${width}`, length, path);
}

/** Why no tensor fits any of the encoders. */
function unfit(encoders: readonly TextEncoderInfo[], tensors: readonly NativeTensor[], path: string): DiffusionError {
  const [{ name, shape } = { name: '', shape: [] }] = tensors;
  const widths = encoders.map(({ width }) => width).join(' or ');
  const [length] = shape.slice(-1);
  if (length === undefined || shape.length > 2) {
    return refused('ERR_MODEL_UNSUPPORTED', path, `a shape of [vectors, ${widths}], found [${shape}]`);
  }
  if (encoders.some(({ width }) => width === length)) {
    const wanted = encoders.map((encoder) => `'${tensorName(encoder)}'`).join(' or ');
    return refused(
      'ERR_MODEL_MISMATCH',
      path,
      `${wanted} for one of the model's text encoders, found tensors such as ${quote(name)}`,
    );
  }
  return wrongWidth(widths, length, path);
}

function wrongWidth(expected: string, found: number, path: string): DiffusionError {
  const message = `vectors of ${expected} values for the model's text encoder, found ${found}`;
  return refused('ERR_MODEL_MISMATCH', path, `${message}. It was made for another model family`);
}

function refused(code: DiffusionError['code'], path: string, expectedAndFound: string): DiffusionError {
  return new DiffusionError(code, `${quotePath(path)}: expected ${expectedAndFound}`);
}

/** The name of the tensor for an encoder. */
export function tensorName({ kind }: TextEncoderInfo): string {
  return TENSORS_OF[kind === 'openclip' ? kind : 'clip'][0];
}
