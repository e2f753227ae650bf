// The byte-level BPE of Qwen against transformers. Goldens: test/reference/language_tokens.py.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BpeTokenizer } from '../../lib/text/bpe-tokenizer.ts';
import { mergeTable } from '../../lib/text/merge-table.ts';
import { qwenVocabulary } from '../../lib/text/qwen-vocabulary.ts';
import { bestBelow, longestBlock } from '../support/event-loop.ts';
import { golden } from '../support/golden.ts';
import { LONG_TEXTS } from '../support/long-texts.ts';

const tokenizer = new BpeTokenizer(await qwenVocabulary());

test('tokens equal those of Qwen2Tokenizer on more than 1,000 strings', async () => {
  const goldens = golden<[text: string, tokens: number[]][]>('qwen_tokens.json');
  assert.ok(goldens.length >= 1000);
  for (const [text, tokens] of goldens) assert.deepEqual(await tokenizer.encode(text), tokens, JSON.stringify(text));
});

test('half a surrogate pair counts as the replacement character', async () => {
  for (const text of ['\ud83d', 'a\udc4db', '\udc4d\ud83d', 'cat \ud800 dog', '\ud83d\u0301', '\ud800'.repeat(9)]) {
    const replaced = text.replaceAll(/\p{Surrogate}/gu, '\ufffd');
    assert.deepEqual(await tokenizer.encode(text), await tokenizer.encode(replaced), JSON.stringify(text));
  }
});

test('control tokens are known by name, and no text becomes one', async () => {
  const names = ['<|endoftext|>', '<|im_start|>', '<|im_end|>', '<|image_pad|>', '<think>', '</think>'];
  assert.deepEqual(
    names.map((name) => tokenizer.control(name)),
    [151_643, 151_644, 151_645, 151_655, 151_667, 151_668],
  );
  for (const name of names) {
    const tokens = await tokenizer.encode(`a ${name}\n`);
    assert.ok(tokens.length > 3 && tokens.every((token) => token < 151_643), `${tokens}`);
  }
  assert.equal(tokenizer.size, 151_669);
  assert.throws(() => tokenizer.control('</s>'), { code: 'ERR_MODEL_UNSUPPORTED', message: /control token '<\/s>'/ });
});

test('a pair that merges twice is reported', async () => {
  const columns = (...values: number[]) => Int32Array.from(values);
  const twice = { lefts: columns(1, 2, 1), rights: columns(2, 1, 2), tokens: columns(3, 4, 5) };
  assert.equal(await mergeTable(twice), undefined);
});

for (const [name, text] of Object.entries(LONG_TEXTS)) {
  test(`a text of 65,536 characters does not hold up the event loop: ${name}`, async () => {
    const block = await bestBelow(10, () => longestBlock(tokenizer.encode(text)));
    assert.ok(block < 10, `blocked for ${block} ms`);
  });
}
