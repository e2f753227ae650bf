// The vocabulary of Qwen 2, 2.5 and 3, which all their models share and files of safetensors do not carry.
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { DiffusionError } from '../core/errors.ts';
import { QWEN_MERGES } from '../core/package-files.ts';
import type { BpeVocabulary } from './bpe-tokenizer.ts';
import { BYTES_IN_ORDER } from './byte-symbols.ts';
import { mergeTable } from './merge-table.ts';

/** Of {@link QWEN_MERGES}. The token of a merge is its rank plus the number of bytes. */
const MERGE_COUNT = 151_387;
const FIRST_MERGE = 256;

/** In order after the merges: `tokenizer.json` of Qwen 3. Earlier models have some of them, with the same numbers. */
const CONTROLS = [
  ...['<|endoftext|>', '<|im_start|>', '<|im_end|>', '<|object_ref_start|>', '<|object_ref_end|>', '<|box_start|>'],
  ...['<|box_end|>', '<|quad_start|>', '<|quad_end|>', '<|vision_start|>', '<|vision_end|>', '<|vision_pad|>'],
  ...['<|image_pad|>', '<|video_pad|>', '<tool_call>', '</tool_call>', '<|fim_prefix|>', '<|fim_middle|>'],
  ...['<|fim_suffix|>', '<|fim_pad|>', '<|repo_name|>', '<|file_sep|>', '<tool_response>', '</tool_response>'],
  ...['<think>', '</think>'],
];

let loading: Promise<BpeVocabulary> | undefined;

/**
 * The vocabulary that comes with this package. It is read on the first call and kept.
 *
 * @throws DiffusionError `ERR_FILE` if its file is missing or damaged.
 */
export function qwenVocabulary(): Promise<BpeVocabulary> {
  loading ??= readVocabulary().catch((cause: unknown) => {
    loading = undefined;
    const reason = String((cause as Partial<Error>).message ?? cause);
    const message = `Expected the vocabulary of Qwen in ${QWEN_MERGES}, but reading it failed: ${reason}`;
    throw new DiffusionError('ERR_FILE', `${message}. Reinstall node-diffusion`, { cause });
  });
  return loading;
}

/**
 * The file has six columns of a byte for each merge: the token on its left, then that on its right, most significant
 * byte first. `scripts/pack-qwen-merges.mjs` writes it.
 */
async function readVocabulary(): Promise<BpeVocabulary> {
  const columns = await promisify(gunzip)(await readFile(QWEN_MERGES), { maxOutputLength: 6 * MERGE_COUNT });
  if (columns.length !== 6 * MERGE_COUNT) throw new Error('it is too short');
  const tokens = new Int32Array(MERGE_COUNT);
  for (let rank = 0; rank < MERGE_COUNT; rank++) tokens[rank] = FIRST_MERGE + rank;
  const [lefts, rights] = [tokenColumn(columns, 0), tokenColumn(columns, 3)];
  const merges = await mergeTable({ lefts, rights, tokens });
  if (!merges) throw new Error('it names a merge twice');
  const byteTokens = new Int32Array(256);
  for (const [token, byte] of BYTES_IN_ORDER.entries()) byteTokens[byte] = token;
  const controls = new Map(CONTROLS.map((name, i) => [name, FIRST_MERGE + MERGE_COUNT + i]));
  return { byteTokens, merges, controls, size: FIRST_MERGE + MERGE_COUNT + CONTROLS.length };
}

function tokenColumn(columns: Uint8Array, first: number): Int32Array {
  const tokens = new Int32Array(MERGE_COUNT);
  for (let column = first; column < first + 3; column++) {
    for (let rank = 0; rank < MERGE_COUNT; rank++) {
      tokens[rank] = ((tokens[rank] as number) << 8) | (columns[column * MERGE_COUNT + rank] as number);
    }
  }
  return tokens;
}
