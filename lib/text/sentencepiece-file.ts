// Reads a model file of sentencepiece, the `spiece.model` of T5.
import { isTurnOver, nextTurn } from '../async/slices.ts';
import { readUserFile } from '../files/user-file.ts';
import { type Field, fieldsOf } from './protocol-buffer.ts';
import type { UnigramVocabulary } from './unigram-tokenizer.ts';
import { unigramVocabulary } from './unigram-vocabulary.ts';
import { corruptVocabulary, unsupportedVocabulary } from './vocabulary-error.ts';

/** The largest known, of UMT5, has 4.5 MB. */
const MAX_BYTES = 16 * 1024 * 1024;
const PIECES_PER_LOOK = 1024;

/** Numbers of fields in sentencepiece_model.proto. */
const MODEL = { pieces: 1, trainer: 2, normalizer: 3 };
const PIECE = { text: 1, score: 2, type: 3 };
const TRAINER = { modelType: 3, unknown: 40, end: 42, pad: 43 };
const NORMALIZER = { characterMap: 2, addPrefix: 3, removeSpaces: 4, escapeSpaces: 5 };
const NORMAL = 1;
const UNIGRAM = 1;

/**
 * @throws DiffusionError `ERR_FILE` if the file cannot be read, `ERR_MODEL_CORRUPT` if it is not a model of
 *   sentencepiece, `ERR_MODEL_UNSUPPORTED` if it has more than 16 MiB, another kind of model, or other rules for spaces
 *   than T5's.
 */
export async function readSentencePieceFile(path: string): Promise<UnigramVocabulary> {
  return parseSentencePiece(await readUserFile(path, { maxBytes: MAX_BYTES, tooLarge: 'ERR_MODEL_UNSUPPORTED' }), path);
}

/**
 * The same from the content of a file.
 *
 * @param path for error messages.
 */
export async function parseSentencePiece(bytes: Uint8Array, path: string): Promise<UnigramVocabulary> {
  try {
    return await vocabularyOf(bytes, path);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw corruptVocabulary(path, `a model of sentencepiece, found something else: ${error.message}`);
  }
}

async function vocabularyOf(bytes: Uint8Array, path: string): Promise<UnigramVocabulary> {
  const pieces: Field[] = [];
  let [trainer, normalizer]: (Field | undefined)[] = [];
  for (const field of fieldsOf(bytes, 0, bytes.length)) {
    if (pieces.length % PIECES_PER_LOOK === 0 && isTurnOver()) await nextTurn();
    if (field.number === MODEL.pieces) pieces.push(field);
    else if (field.number === MODEL.trainer) trainer = field;
    else if (field.number === MODEL.normalizer) normalizer = field;
  }
  const training = valuesOf(bytes, trainer);
  const rules = valuesOf(bytes, normalizer);
  if ((training.get(TRAINER.modelType)?.value ?? UNIGRAM) !== UNIGRAM) {
    throw unsupportedVocabulary(path, 'a unigram model of sentencepiece, found another kind');
  }
  for (const rule of [NORMALIZER.addPrefix, NORMALIZER.removeSpaces, NORMALIZER.escapeSpaces]) {
    if ((rules.get(rule)?.value ?? 1) === 1) continue;
    throw unsupportedVocabulary(path, 'spaces to be treated as in T5 (a mark before each word, runs joined)');
  }
  const map = rules.get(NORMALIZER.characterMap);
  const special = (field: number, absent: number) => training.get(field)?.value ?? absent;
  return unigramVocabulary(
    {
      ...(await listOf(bytes, pieces)),
      characterMap: map ? bytes.subarray(map.start, map.end) : new Uint8Array(0),
      unknownToken: special(TRAINER.unknown, 0),
      endToken: special(TRAINER.end, 2),
      padToken: special(TRAINER.pad, 0),
    },
    path,
  );
}

async function listOf(bytes: Uint8Array, fields: readonly Field[]) {
  const count = fields.length;
  const pieces = { bytes, starts: new Uint32Array(count), ends: new Uint32Array(count) };
  const scores = new Float64Array(count);
  const types = new Uint8Array(count).fill(NORMAL);
  for (const [i, { start, end }] of fields.entries()) {
    if (i % PIECES_PER_LOOK === 0 && isTurnOver()) await nextTurn();
    for (const field of fieldsOf(bytes, start, end)) {
      if (field.number === PIECE.text) [pieces.starts[i], pieces.ends[i]] = [field.start, field.end];
      else if (field.number === PIECE.score) scores[i] = field.value;
      else if (field.number === PIECE.type) types[i] = field.value;
    }
  }
  return { pieces, scores, types };
}

/** The last field of each number. */
function valuesOf(bytes: Uint8Array, message: Field | undefined): Map<number, Field> {
  const fields = message ? fieldsOf(bytes, message.start, message.end) : [];
  return new Map([...fields].map((field) => [field.number, field]));
}
