// A vocabulary of sentencepiece, built from the lists that files have of it.
import { CharacterMap } from './character-map.ts';
import type { PackedStrings } from './packed-strings.ts';
import { PieceTrie } from './piece-trie.ts';
import type { UnigramVocabulary } from './unigram-tokenizer.ts';
import { corruptVocabulary } from './vocabulary-error.ts';

/** The types of pieces that text may have (`ModelProto.SentencePiece.Type`): normal and user-defined ones. */
const TEXT_TYPES: readonly number[] = [1, 4];
/** sentencepiece trains pieces of at most 16 characters. A limit bounds the time of a text. */
const MAX_PIECE_BYTES = 512;

/** A vocabulary as files list it. */
export interface PieceList {
  readonly pieces: PackedStrings;
  /** The log probability of each piece. */
  readonly scores: Float64Array;
  /** The type of each piece: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  readonly types: Uint8Array;
  /** Empty if text is used as it is. */
  readonly characterMap: Uint8Array;
  readonly unknownToken: number;
  readonly endToken: number;
  readonly padToken: number;
}

/**
 * @param path of the file, for error messages.
 * @throws DiffusionError `ERR_MODEL_CORRUPT` if the lists do not fit together.
 */
export async function unigramVocabulary(list: PieceList, path: string): Promise<UnigramVocabulary> {
  const { pieces, scores, types, characterMap, unknownToken, endToken, padToken } = list;
  const count = pieces.starts.length;
  if (count === 0 || scores.length !== count || types.length !== count) {
    const found = `${count} pieces, ${scores.length} scores and ${types.length} types`;
    throw corruptVocabulary(path, `a vocabulary with a score and a type for each piece, found ${found}`);
  }
  for (const token of [unknownToken, endToken, padToken]) {
    if (token < count) continue;
    throw corruptVocabulary(path, `special tokens among the ${count} pieces of the vocabulary, found token ${token}`);
  }
  for (let i = 0; i < count; i++) {
    const bytes = (pieces.ends[i] as number) - (pieces.starts[i] as number);
    if (bytes > MAX_PIECE_BYTES) {
      throw corruptVocabulary(path, `pieces of at most ${MAX_PIECE_BYTES} bytes, found one of ${bytes}`);
    }
    if (Number.isFinite(scores[i])) continue;
    throw corruptVocabulary(path, `finite scores of pieces, found ${scores[i]} for piece ${i}`);
  }
  const isText = (i: number) => i !== unknownToken && TEXT_TYPES.includes(types[i] as number);
  return {
    trie: await PieceTrie.build(pieces, isText),
    scores,
    characters: characterMap.length > 0 ? new CharacterMap(characterMap, path) : undefined,
    unknownToken,
    endToken,
    padToken,
  };
}
