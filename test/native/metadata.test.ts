// The vocabulary in the metadata of a GGUF file, and files that lie about it.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { EMBEDDED_MODEL } from '../../lib/index.ts';
import { readGgufUnigram } from '../../lib/text/gguf-vocabulary.ts';
import { fieldsOf } from '../../lib/text/protocol-buffer.ts';
import { UnigramTokenizer } from '../../lib/text/unigram-tokenizer.ts';
import { addon } from '../support/addon.ts';
import { longestBlock } from '../support/event-loop.ts';
import { golden } from '../support/golden.ts';
import { root } from '../support/places.ts';
import { temporaryFolder } from '../support/tiny-model.ts';

const never = new addon.Cancellation();
const folder = temporaryFolder();
let files = 0;

const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value: number | bigint) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const string = (text: Uint8Array | string) => Buffer.concat([u64(Buffer.byteLength(text)), Buffer.from(text)]);
const list = (type: number, count: number | bigint, ...items: Uint8Array[]) =>
  Buffer.concat([u32(9), u32(type), u64(count), ...items]);
const strings = (texts: readonly (Uint8Array | string)[]) =>
  Buffer.concat([list(8, texts.length), ...texts.map(string)]);
const text = (value: string) => Buffer.concat([u32(8), string(value)]);
const floats = (values: Iterable<number>) => {
  const array = Float32Array.from(values);
  return list(6, array.length, new Uint8Array(array.buffer));
};
const integers = (values: Iterable<number>) => {
  const array = Int32Array.from(values);
  return list(5, array.length, new Uint8Array(array.buffer));
};

/** Writes a file of metadata without tensors. */
function ggufOf(values: Readonly<Record<string, Uint8Array>>): string {
  const path = join(folder, `${files++}.gguf`);
  const entries = Object.entries(values).map(([key, value]) => Buffer.concat([string(`tokenizer.ggml.${key}`), value]));
  writeFileSync(path, Buffer.concat([Buffer.from('GGUF'), u32(3), u64(0), u64(entries.length), ...entries]));
  return path;
}

/** The vocabulary of test/reference/unigram.model.gz. */
function vocabulary() {
  const bytes = gunzipSync(readFileSync(join(root, 'test/reference/unigram.model.gz')));
  const pieces: Uint8Array[] = [];
  const scores: number[] = [];
  const types: number[] = [];
  let map = new Uint8Array(0);
  for (const { number, start, end } of fieldsOf(bytes, 0, bytes.length)) {
    const fields = new Map(
      [...fieldsOf(bytes, start, number === 1 || number === 3 ? end : start)].map((f) => [f.number, f]),
    );
    if (number === 3) map = Uint8Array.from(bytes.subarray(fields.get(2)?.start, fields.get(2)?.end));
    if (number !== 1) continue;
    pieces.push(bytes.subarray(fields.get(1)?.start, fields.get(1)?.end));
    scores.push(fields.get(2)?.value ?? 0);
    types.push(fields.get(3)?.value ?? 1);
  }
  return {
    model: text('t5'),
    tokens: strings(pieces),
    scores: floats(scores),
    token_type: integers(types),
    precompiled_charsmap: list(0, map.length, map),
  };
}

test('the vocabulary of a GGUF file gives the tokens of the model that it was made of', async () => {
  const tokenizer = new UnigramTokenizer(await readGgufUnigram(addon, ggufOf(vocabulary()), undefined));
  assert.deepEqual([tokenizer.padToken, tokenizer.endToken], [0, 1]);
  for (const [text, tokens] of golden<[string, number[]][]>('unigram_tokens.json')) {
    assert.deepEqual(await tokenizer.encode(text), tokens, JSON.stringify(text));
  }
});

test('metadata of a prefix is read with arrays of every type, and without nested ones', async () => {
  const path = ggufOf({
    'a.text': text('x'),
    'a.strings': strings(['a', '', 'é']),
    'a.floats': floats([0.5, -1]),
    'a.flags': list(7, 2, Uint8Array.of(1, 0)),
    'a.large': list(10, 1, u64(2n ** 40n)),
    'a.nested': list(9, 1, list(4, 1, u32(1)).subarray(4)),
    'b.floats': floats([3]),
  });
  const { metadata, arrays } = await addon.readMetadata(path, 'tokenizer.ggml.a.', never);
  assert.equal(metadata['tokenizer.ggml.a.text'], 'x');
  const read = Object.fromEntries(Object.entries(arrays).map(([key, array]) => [key.slice(17), array]));
  assert.deepEqual(Object.keys(read), ['flags', 'floats', 'large', 'strings']);
  assert.deepEqual(read.strings?.ends, Uint32Array.of(1, 1, 3));
  assert.equal(Buffer.from(read.strings?.bytes ?? []).toString(), 'aé');
  assert.deepEqual([...(read.floats?.numbers ?? [])], [0.5, -1]);
  assert.deepEqual([...(read.flags?.numbers ?? [])], [1, 0]);
  assert.deepEqual([...(read.large?.numbers ?? [])], [2 ** 40]);
});

test('150,000 strings are read in little time, and without holding up the event loop', async () => {
  const path = ggufOf({ tokens: strings(Array.from({ length: 150_000 }, (_, i) => `token ${i}`)) });
  let read: Awaited<ReturnType<typeof addon.readMetadata>> | undefined;
  const block = await longestBlock(addon.readMetadata(path, 'tokenizer.', never).then((values) => (read = values)));
  assert.equal(read?.arrays['tokenizer.ggml.tokens']?.ends.length, 150_000);
  assert.ok(block < 50, `blocked for ${block} ms`);
});

test('arrays that lie about their length or type are errors', async () => {
  const corrupt: Readonly<Record<string, Uint8Array>> = {
    'a count of 2^64 - 1': list(8, 2n ** 64n - 1n),
    'a count of 2^61': list(6, 2n ** 61n),
    'a string of 2^64 - 1 bytes': list(8, 1, u64(2n ** 64n - 1n)),
    'a string that ends after the file': list(8, 1, u64(9), Buffer.from('short')),
    'fewer numbers than it says': list(6, 3, u32(0)),
    'an unknown type': list(77, 1, u32(0)),
    'a boolean of 2': list(7, 1, Uint8Array.of(2)),
    'arrays nested too deep': list(9, 1, ...Array.from({ length: 6 }, () => list(9, 1).subarray(4)), u32(0)),
  };
  for (const [what, value] of Object.entries(corrupt)) {
    await assert.rejects(
      addon.readMetadata(ggufOf({ tokens: value }), 'tokenizer.', never),
      { code: 'ERR_MODEL_CORRUPT' },
      what,
    );
  }
  const large = ggufOf({ tokens: list(8, 1, u64(65 * 2 ** 20), Buffer.alloc(65 * 2 ** 20)) });
  await assert.rejects(addon.readMetadata(large, 'tokenizer.', never), { code: 'ERR_MODEL_UNSUPPORTED' });
  const other = join(root, 'test/reference/networks.safetensors');
  await assert.rejects(addon.readMetadata(other, 'tokenizer.', never), { code: 'ERR_MODEL_UNSUPPORTED' });
  await assert.rejects(addon.readMetadata(join(folder, 'none'), 'tokenizer.', never), { code: 'ERR_FILE' });
});

test('a vocabulary that does not fit together is an error', async () => {
  const sound = vocabulary();
  const without = ({ ...values }: Record<string, Uint8Array>, key: string) => {
    delete values[key];
    return values;
  };
  for (const key of ['tokens', 'scores', 'token_type']) {
    const path = ggufOf(without(sound, key));
    await assert.rejects(readGgufUnigram(addon, path, undefined), { code: 'ERR_MODEL_CORRUPT' }, key);
  }
  const wrong: Record<string, Uint8Array>[] = [
    { tokens: floats([1, 2, 3]) },
    { scores: strings(['a']) },
    { scores: floats([Number.NaN]) },
    { token_type: floats([1]) },
    { precompiled_charsmap: list(0, 3, Uint8Array.of(1, 2, 3)) },
    { unknown_token_id: text('x') },
    { eos_token_id: Buffer.concat([u32(4), u32(1_000_000)]) },
  ];
  for (const values of wrong) {
    const path = ggufOf({ ...sound, ...values });
    await assert.rejects(
      readGgufUnigram(addon, path, undefined),
      { code: 'ERR_MODEL_CORRUPT' },
      Object.keys(values)[0],
    );
  }
  for (const values of [{ model: text('gpt2') }, { add_space_prefix: Buffer.concat([u32(7), Uint8Array.of(0)]) }]) {
    const path = ggufOf({ ...sound, ...values });
    await assert.rejects(readGgufUnigram(addon, path, undefined), { code: 'ERR_MODEL_UNSUPPORTED' });
  }
  await assert.rejects(readGgufUnigram(addon, EMBEDDED_MODEL, undefined), { code: 'ERR_MODEL_UNSUPPORTED' });
});
