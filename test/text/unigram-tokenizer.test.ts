// The unigram tokenizer of T5 against tokenizers. Goldens and model: test/reference/language_tokens.py.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { parseSentencePiece, readSentencePieceFile } from '../../lib/text/sentencepiece-file.ts';
import { UnigramTokenizer } from '../../lib/text/unigram-tokenizer.ts';
import { bestBelow, longestBlock } from '../support/event-loop.ts';
import { golden } from '../support/golden.ts';
import { LONG_TEXTS } from '../support/long-texts.ts';
import { root } from '../support/places.ts';
import { temporaryFolder } from '../support/tiny-model.ts';

const file = gunzipSync(readFileSync(join(root, 'test/reference/unigram.model.gz')));
const tokenizer = new UnigramTokenizer(await parseSentencePiece(file, 'spiece.model'));
const goldens = golden<[text: string, tokens: number[]][]>('unigram_tokens.json');

test('tokens equal those of tokenizers on more than 1,000 strings', async () => {
  assert.ok(goldens.length >= 1000);
  for (const [text, tokens] of goldens) assert.deepEqual(await tokenizer.encode(text), tokens, JSON.stringify(text));
});

test('half a surrogate pair counts as the replacement character', async () => {
  for (const text of ['\ud83d', 'a\udc4db', '\udc4d\ud83d', 'cat \ud800 dog', '\ud83d\u0301', '\ud800'.repeat(9)]) {
    const replaced = text.replaceAll(/\p{Surrogate}/gu, '\ufffd');
    assert.deepEqual(await tokenizer.encode(text), await tokenizer.encode(replaced), JSON.stringify(text));
  }
});

test('special tokens are those of the file, and no text becomes one', async () => {
  assert.deepEqual([tokenizer.padToken, tokenizer.endToken], [0, 1]);
  for (const name of ['<pad>', '</s>', '<extra_id_0>', '<unk>']) {
    const tokens = await tokenizer.encode(`a ${name} b`);
    assert.ok(tokens.length > 3 && tokens.every((token) => token > 1), `${name}: ${tokens}`);
  }
});

for (const [name, text] of Object.entries(LONG_TEXTS)) {
  test(`a text of 65,536 characters does not hold up the event loop: ${name}`, async () => {
    // Compatibility characters become 655,000 others, whose strings the garbage collector takes longer to collect.
    const limit = name === 'compatibility characters' ? 25 : 10;
    const block = await bestBelow(limit, () => longestBlock(tokenizer.encode(text)));
    assert.ok(block < limit, `blocked for ${block} ms`);
  });
}

test('a model file is read from a path', async () => {
  const path = join(temporaryFolder(), 'spiece.model');
  writeFileSync(path, file);
  const read = new UnigramTokenizer(await readSentencePieceFile(path));
  const [text, tokens] = goldens[2] as [string, number[]];
  assert.deepEqual(await read.encode(text), tokens);
  await assert.rejects(readSentencePieceFile(`${path}.missing`), { name: 'DiffusionError', code: 'ERR_FILE' });
});

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
const message = (number: number, content: Iterable<number>): number[] => {
  const bytes = [...content];
  return [...varint(8 * number + 2), ...varint(bytes.length), ...bytes];
};
const integer = (number: number, value: number): number[] => [...varint(8 * number), ...varint(value)];
const score = (value: number): number[] => [8 * 2 + 5, ...new Uint8Array(Float32Array.of(value).buffer)];
const piece = (text: string, ...rest: number[][]): number[] =>
  message(1, [...message(1, Buffer.from(text)), ...rest.flat()]);
const characterMap = (trie: readonly number[], replacements: string): number[] => [
  ...new Uint8Array(Uint32Array.of(4 * trie.length, ...trie).buffer),
  ...Buffer.from(replacements),
];
const SPECIALS = [
  ...piece('<pad>', integer(3, 3)),
  ...piece('</s>', integer(3, 3)),
  ...piece('<unk>', integer(3, 2)),
  ...message(2, [...integer(40, 2), ...integer(42, 1)]),
];
const vocabularyOf = (...parts: number[][]) =>
  parseSentencePiece(Uint8Array.from([...SPECIALS, ...parts.flat()]), 'x.model');

test('a small model without a map of characters takes text as it is', async () => {
  const pieces = [piece('▁', score(-1)), piece('a', score(-2)), piece('▁a', score(-4)), piece('é', score(-1))];
  const small = new UnigramTokenizer(await vocabularyOf(...pieces));
  assert.deepEqual(await small.encode('a  aéÉ?é'), [3, 4, 3, 4, 6, 2, 6]);
  assert.deepEqual(await small.encode(' '), []);
});

test('a damaged model is an error that says what is wrong', async () => {
  const corrupt: readonly (readonly [number[][], RegExp])[] = [
    [[[0x0a]], /found something else: a value ends after its message/],
    [[[0x0a, 0x7f, 1]], /found something else: a value ends after its message/],
    [[[0x0a, ...new Array(11).fill(0xff)]], /an integer has more than 10 bytes/],
    [[[0x0b]], /a field has the type 3/],
    [[piece('a', [0x0a, 0x7f])], /a value ends after its message/],
    [[piece('a', score(Number.NaN))], /finite scores of pieces, found NaN for piece 3/],
    [[piece('a', score(Number.NEGATIVE_INFINITY))], /finite scores of pieces, found -Infinity/],
    [[piece('a'.repeat(513))], /pieces of at most 512 bytes, found one of 513/],
    [[message(2, integer(40, 3))], /special tokens among the 3 pieces of the vocabulary, found token 3/],
    [[message(2, integer(42, 2 ** 40))], /special tokens among the 3 pieces/],
    [[message(3, message(2, [1, 2, 3]))], /a character map of a trie/],
    [[message(3, message(2, [0, 0, 0, 0]))], /a character map of a trie/],
    [[message(3, message(2, [255, 255, 255, 255, 0]))], /a character map of a trie/],
    [[message(3, message(2, characterMap([0], 'x')))], /replacements of at most 256 bytes/],
    [[message(3, message(2, characterMap([0], `${'x'.repeat(257)}\0`)))], /replacements of at most 256 bytes/],
    [[message(3, message(2, characterMap([0x80000002], 'x\0')))], /a character map with all its replacements/],
  ];
  for (const [parts, expected] of corrupt) {
    await assert.rejects(vocabularyOf(...parts), { code: 'ERR_MODEL_CORRUPT', message: expected }, `${expected}`);
  }
  const unsupported = { code: 'ERR_MODEL_UNSUPPORTED', message: /^'x.model': expected / };
  await assert.rejects(vocabularyOf(message(2, integer(3, 2))), unsupported);
  for (const rule of [3, 4, 5]) await assert.rejects(vocabularyOf(message(3, integer(rule, 0))), unsupported);
  await assert.rejects(parseSentencePiece(new Uint8Array(0), 'x.model'), { code: 'ERR_MODEL_CORRUPT' });
});

test('a file cut anywhere, or with any byte changed, gives a vocabulary or a typed error', async () => {
  const whole = Uint8Array.from([
    ...SPECIALS,
    ...piece('▁a', score(-1)),
    ...message(3, message(2, characterMap([0x400, 0x161, 0x80000000], 'b\0'))),
  ]);
  const variants = Array.from({ length: whole.length }, (_, i) => whole.slice(0, i));
  for (let i = 0; i < whole.length; i++) {
    for (const value of [0, 0x7f, 0xff, (whole[i] as number) ^ 0x81]) {
      const changed = whole.slice();
      changed[i] = value;
      variants.push(changed);
    }
  }
  let [sound, damaged] = [0, 0];
  for (const variant of variants) {
    try {
      await new UnigramTokenizer(await parseSentencePiece(variant, 'x.model')).encode('a cat á\u0301');
      sound++;
    } catch (error) {
      assert.match((error as { code: string }).code, /^ERR_MODEL_(CORRUPT|UNSUPPORTED)$/, `${error}`);
      damaged++;
    }
  }
  assert.ok(sound > 100 && damaged > 100, `${sound} ${damaged}`);
});
