// Model files that must be refused, one a row: what is wrong, how to write it, and the error that it gives.

import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DiffusionErrorCode } from '../../lib/core/errors.ts';
import { type TestTensor, writeSafetensors } from './safetensors.ts';
import { temporaryFolder, tinyModel } from './tiny-model.ts';
import { pickled, writeCheckpoint } from './torch-file.ts';

export interface BadModel {
  readonly name: string;
  /** Gives its path; writes it the first time. */
  readonly write: () => string;
  readonly code: DiffusionErrorCode;
  /** What the message must name. */
  readonly message: RegExp;
}

const folder = temporaryFolder();
const UNET_BIAS = 'model.diffusion_model.out.2.bias';
const TOKENS = 'cond_stage_model.transformer.text_model.embeddings.token_embedding.weight';
const POSITIONS = 'cond_stage_model.transformer.text_model.embeddings.position_embedding.weight';
const TEXT_NORM = 'cond_stage_model.transformer.text_model.final_layer_norm.weight';

/** A safetensors file of this header, `dataBytes` zeros, and the true or a false header length. */
function raw(name: string, header: string, dataBytes = 0, length = BigInt(Buffer.byteLength(header))): () => string {
  return () => {
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(length);
    return file(name, Buffer.concat([prefix, Buffer.from(header), Buffer.alloc(dataBytes)]))();
  };
}

function file(name: string, bytes: Uint8Array | string): () => string {
  return () => {
    const path = join(folder, `${name.replaceAll(' ', '-')}.safetensors`);
    writeFileSync(path, bytes);
    return path;
  };
}

function tensor(dtype: string, shape: string, begin: number, end: number): string {
  return `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;
}

/** A model that is sound but for what `edit` changes. */
function edited(
  name: string,
  edit: (tensors: TestTensor[]) => TestTensor[],
  metadata?: Record<string, string>,
): () => string {
  return () => {
    const path = join(folder, `${name}.safetensors`);
    writeSafetensors(path, edit(soundTensors()), metadata);
    return path;
  };
}

/** The tensors of a sound model; making them takes far longer than writing them. */
const soundTensors = once(() => {
  let sound: TestTensor[] = [];
  tinyModel({ vocabulary: 49408, edit: (tensors) => (sound = tensors) });
  return sound;
});

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** A GGUF file (version 3) of one tensor under the name that language models give their token table. */
function languageModel(): string {
  const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
  const u64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
  const text = (value: string) => Buffer.concat([u64(value.length), Buffer.from(value)]);
  const STRING = 8;
  const header = Buffer.concat([
    ...[Buffer.from('GGUF'), u32(3), u64(1), u64(1)],
    ...[text('general.architecture'), u32(STRING), text('llama')],
    ...[text('token_embd.weight'), u32(2), u64(32), u64(4), u32(0), u64(0)],
  ]);
  const padding = Buffer.alloc((32 - (header.length % 32)) % 32);
  const path = join(folder, 'language-model.gguf');
  writeFileSync(path, Buffer.concat([header, padding, Buffer.alloc(32 * 4 * 4)]));
  return path;
}

/** A PyTorch checkpoint that asks its reader to run a command. */
function systemCall(): string {
  const path = join(folder, 'system-call.ckpt');
  writeCheckpoint(path, soundTensors(), [['epoch', pickled.call('posix', 'system', [pickled.text('true')])]]);
  return path;
}

/** A zip archive that begins as a checkpoint does and has no end. */
function cutCheckpoint(): string {
  const path = join(folder, 'cut.ckpt');
  writeCheckpoint(path, soundTensors());
  truncateSync(path, 100_000);
  return path;
}

function directory(): string {
  const path = join(folder, 'directory');
  mkdirSync(path, { recursive: true });
  return path;
}

function millionTensors(): string {
  const entries = Array.from({ length: 1e6 }, (_, i) => `"t${i}":${tensor('F32', '[0]', 0, 0)}`);
  return raw('million', `{${entries.join(',')}}`)();
}

/** A GGUF header, and a hole of the file system where its tensor infos belong: zeros are an info of 24 bytes. */
function holes(): string {
  const path = join(folder, 'holes.gguf');
  const header = Buffer.from('GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0', 'latin1');
  const count = 1_000_001;
  header.writeBigUInt64LE(BigInt(count), 8);
  writeFileSync(path, header);
  truncateSync(path, header.length + 24 * count);
  return path;
}

const reshaped = (name: string, shape: number[]) => (tensors: TestTensor[]) =>
  tensors.map((tensor) =>
    tensor.name === name
      ? { ...tensor, shape, values: new Float32Array(shape.reduce((product, size) => product * size, 1)) }
      : tensor,
  );

const withNames = (names: readonly string[]) => (tensors: TestTensor[]) => [
  ...tensors,
  ...names.map((name): TestTensor => ({ name, dtype: 'f32', shape: [0], values: new Float32Array(0) })),
];

const one = (text: string) => `{"a":${text}}`;

const TABLE: readonly BadModel[] = [
  { name: 'a missing file', write: () => join(folder, 'no', 'such.safetensors'), code: 'ERR_FILE', message: /such/ },
  { name: 'a directory', write: directory, code: 'ERR_FILE', message: /directory/ },
  { name: 'an empty file', write: file('empty', ''), code: 'ERR_FILE', message: /empty/ },
  { name: '16 bytes', write: file('sixteen', 'sixteen bytes...'), code: 'ERR_MODEL_UNSUPPORTED', message: /sixteen/ },
  {
    name: 'a truncated header',
    write: raw('truncated', one('{"dtype":"F3')),
    code: 'ERR_MODEL_CORRUPT',
    message: /truncated/,
  },
  { name: 'a header past the end', write: raw('past', '{}', 0, 1n << 40n), code: 'ERR_MODEL_CORRUPT', message: /past/ },
  {
    name: 'a header length of 2^64 - 1',
    write: raw('huge', '{}', 0, (1n << 64n) - 1n),
    code: 'ERR_MODEL_CORRUPT',
    message: /huge/,
  },
  { name: 'no JSON', write: raw('nojson', 'hello, world'), code: 'ERR_MODEL_UNSUPPORTED', message: /nojson/ },
  {
    name: 'overlapping tensors',
    write: raw('overlap', `{"a":${tensor('F32', '[4]', 0, 16)},"b":${tensor('F32', '[4]', 8, 24)}}`, 24),
    code: 'ERR_MODEL_CORRUPT',
    message: /overlap/,
  },
  {
    name: 'data out of range',
    write: raw('range', one(tensor('F32', '[4]', 16, 32)), 16),
    code: 'ERR_MODEL_CORRUPT',
    message: /range/,
  },
  {
    name: 'offsets backwards',
    write: raw('backwards', one(tensor('F32', '[4]', 16, 0)), 16),
    code: 'ERR_MODEL_CORRUPT',
    message: /backwards/,
  },
  {
    name: 'an unknown type',
    write: raw('dtype', one(tensor('F31', '[4]', 0, 16)), 16),
    code: 'ERR_MODEL_UNSUPPORTED',
    message: /F31/,
  },
  {
    name: 'a type of another size',
    write: raw('size', one(tensor('F16', '[4]', 0, 16)), 16),
    code: 'ERR_MODEL_CORRUPT',
    message: /size/,
  },
  {
    name: 'a negative shape',
    write: raw('negative', one(tensor('F32', '[-4]', 0, 16)), 16),
    code: 'ERR_MODEL_CORRUPT',
    message: /negative/,
  },
  {
    name: 'an overflowing shape',
    write: raw('overflow', one(tensor('F32', '[4294967296,4294967296,4294967296]', 0, 16)), 16),
    code: 'ERR_MODEL_CORRUPT',
    message: /overflow/,
  },
  {
    name: 'a name twice',
    write: raw('twice', `{"a":${tensor('F32', '[1]', 0, 4)},"a":${tensor('F32', '[1]', 4, 8)}}`, 8),
    code: 'ERR_MODEL_CORRUPT',
    message: /twice/,
  },
  { name: 'a million tensors', write: millionTensors, code: 'ERR_MODEL_UNSUPPORTED', message: /million/ },
  { name: 'a language model', write: languageModel, code: 'ERR_MODEL_UNSUPPORTED', message: /language-model/ },
  { name: 'a system call', write: systemCall, code: 'ERR_MODEL_UNSUPPORTED', message: /found class 'posix\.system'/ },
  { name: 'a checkpoint cut short', write: cutCheckpoint, code: 'ERR_MODEL_CORRUPT', message: /truncated/ },
  {
    name: 'a missing tensor',
    write: edited('missing', (tensors) => tensors.filter(({ name }) => name !== UNET_BIAS)),
    code: 'ERR_MODEL_INCOMPLETE',
    message: /out\.2\.bias/,
  },
  {
    name: 'a tensor of the wrong shape',
    write: edited('mismatched', (tensors) =>
      tensors.map((t) => (t.name === UNET_BIAS ? { ...t, shape: [5], values: new Float32Array(5) } : t)),
    ),
    code: 'ERR_MODEL_MISMATCH',
    message: /out\.2\.bias/,
  },
  {
    name: 'tensors that nothing uses',
    write: edited('unused', (tensors) => [
      ...tensors,
      { name: 'lora_unet.weight', dtype: 'f32', shape: [2], values: new Float32Array(2) },
    ]),
    code: 'ERR_MODEL_UNSUPPORTED',
    message: /lora_unet\.weight/,
  },
  {
    name: 'a tensor of ten dimensions',
    write: edited('dimensions', reshaped(UNET_BIAS, [4, 1, 1, 1, 1, 5, 1, 1, 1, 1])),
    code: 'ERR_MODEL_MISMATCH',
    message: /out\.2\.bias: expected shape \[4\], found \[20, 1, 1, 1\]\./,
  },
  {
    name: 'a text encoder without positions',
    write: edited('positions', reshaped(POSITIONS, [0, 64])),
    code: 'ERR_MODEL_MISMATCH',
    message: /position_embedding\.weight: has no values/,
  },
  {
    name: 'a dimension of 2^40',
    write: edited('dimension', reshaped(TOKENS, [2 ** 40, 0])),
    code: 'ERR_MODEL_UNSUPPORTED',
    message: /token_embedding\.weight has a dimension of 1099511627776/,
  },
  {
    name: 'input blocks up to number 99999',
    write: edited(
      'blocks',
      withNames(Array.from({ length: 50_000 }, (_, i) => `model.diffusion_model.input_blocks.99999.${i}`)),
    ),
    code: 'ERR_MODEL_UNSUPPORTED',
    message: /more than 64 input or output blocks/,
  },
  {
    name: 'a name that would clear the terminal',
    write: edited('terminal', withNames(['\u001b[2J'])),
    code: 'ERR_MODEL_UNSUPPORTED',
    message: /would go unused: '\\x1b\[2J'\./,
  },
  { name: 'more tensors than any model', write: holes, code: 'ERR_MODEL_UNSUPPORTED', message: /1000001 tensors/ },
  {
    name: 'an unknown prediction type',
    write: edited('prediction', (tensors) => tensors, { 'modelspec.prediction_type': 'sample' }),
    code: 'ERR_MODEL_UNSUPPORTED',
    message: /epsilon or v, found .*'sample'/,
  },
];

export const BAD_MODELS = TABLE.map((row) => ({ ...row, write: once(row.write) }));

/** A model that opens, and whose text encoder then gives NaN. */
export const nanModel = once(
  edited('nan', (tensors) =>
    tensors.map((t) => (t.name === TEXT_NORM ? { ...t, values: t.values.map(() => Number.NaN) } : t)),
  ),
);

/** A sound model. */
export const soundModel = once(edited('sound', (tensors) => tensors));
