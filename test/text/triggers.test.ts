// Words of a prompt that stand for vectors of their own: where they are found, and what becomes of them in chunks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePrompt, LEFT_OUT, type PromptChunk } from '../../lib/text/chunks.ts';
import { PromptText } from '../../lib/text/prompt-text.ts';
import { spellings } from '../../lib/text/spellings.ts';
import { loadClipTokenizer } from '../../lib/text/tokenizer.ts';
import { type Trigger, WordFinder } from '../../lib/text/triggers.ts';

const tokenizer = await loadClipTokenizer();
const END = 49407;

const split = (words: readonly string[], text: string) =>
  new WordFinder(words.map((word) => [word, { word }] as const))
    .split(text)
    .map((part) => (typeof part === 'string' ? part : `{${part.word}}`));

test('a word is found in any case where no letter or digit touches it', () => {
  const rows: readonly [words: string[], text: string, parts: string[]][] = [
    [[], 'a cat', ['a cat']],
    [['cat'], '', []],
    [['cat'], 'cat', ['{cat}']],
    [['Cat'], 'a cAT.', ['a ', '{Cat}', '.']],
    [['cat'], 'cats concat cat2 2cat écat caté', ['cats concat cat2 2cat écat caté']],
    [['cat'], 'cat-cat_cat,(cat)', ['{cat}', '-', '{cat}', '_', '{cat}', ',(', '{cat}', ')']],
    [['cat'], '\u{1d400}cat cat\u{1d400} 🐈cat🐈', ['\u{1d400}cat cat\u{1d400} 🐈', '{cat}', '🐈']],
    [['<cat-toy>'], 'a<cat-toy>b', ['a', '{<cat-toy>}', 'b']],
    [['v2', 'v22'], 'v2 v22 v222', ['{v2}', ' ', '{v22}', ' v222']],
    [
      ['bad', 'bad hands', 'bad-hands-5'],
      'bad hands, bad-hands-5, bad-hands',
      ['{bad hands}', ', ', '{bad-hands-5}', ', ', '{bad}', '-hands'],
    ],
    [['猫'], '猫 猫猫', ['{猫}', ' 猫猫']],
    [['*'], 'a ** b', ['a ', '{*}', '{*}', ' b']],
    [['straße'], 'STRASSE Straße', ['STRASSE ', '{straße}']],
    [
      ['constructor', '__proto__'],
      'constructor __proto__ toString',
      ['{constructor}', ' ', '{__proto__}', ' toString'],
    ],
  ];
  for (const [words, text, parts] of rows) assert.deepEqual(split(words, text), parts, text);
});

test('long texts and many words are searched in well under a second', () => {
  const words = Array.from({ length: 10_000 }, (_, i) => `a${'b'.repeat(i % 50)}${i}`);
  const start = performance.now();
  for (const text of ['a'.repeat(65_536), 'ab'.repeat(32_768), 'a '.repeat(32_768)]) split(words, text);
  assert.ok(performance.now() - start < 2000);
});

const trigger = (word: string, length: number, first = 50_000): [string, Trigger] => [
  word,
  { word, tokens: Array.from({ length }, (_, i) => first + i) },
];
const encode = (prompt: string, ...triggers: [string, Trigger][]) =>
  encodePrompt(new PromptText(prompt), { tokenizer, pad: END, triggers: new WordFinder(triggers) });
/** Places in the body of a chunk that hold tokens behind the vocabulary. */
const places = ({ tokens }: { tokens: Int32Array }) => [...tokens.keys()].filter((i) => (tokens[i] as number) > END);

test('a word takes as many places as it has tokens, and its weight', async () => {
  const [chunk, ...others] = await encode('a (shiny:1.3) cube', trigger('shiny', 3));
  assert.equal(others.length, 0);
  assert.deepEqual([...(chunk?.tokens.subarray(0, 8) ?? [])], [49406, 320, 50_000, 50_001, 50_002, 11_353, END, END]);
  const weights = [1, 1, 1.3, 1.3, 1.3, 1, 1, 1].map(Math.fround);
  assert.deepEqual([...(chunk?.weights.subarray(0, 8) ?? [])], weights);
});

test('a word is never cut: where it does not fit, it starts the next chunk', async () => {
  for (const [before, length, expected] of [
    [70, 5, [[71, 72, 73, 74, 75]]],
    [71, 5, [[], [1, 2, 3, 4, 5]]],
    [75, 2, [[], [1, 2]]],
    [0, 75, [Array.from({ length: 75 }, (_, i) => i + 1)]],
  ] as const) {
    const chunks = await encode(`${'a '.repeat(before)}shiny`, trigger('shiny', length));
    assert.deepEqual(chunks.map(places), expected);
    // What is left of the chunk before is filled as by a BREAK.
    const [first] = chunks;
    if (before === 71) assert.deepEqual([...(first?.tokens.subarray(72) ?? [])], new Array(5).fill(END));
  }
});

test('a place that is left out counts where chunks are cut, and is then not there', async () => {
  const absent: [string, Trigger] = ['shiny', { word: 'shiny', tokens: new Array(3).fill(LEFT_OUT) }];
  const body = (chunks: readonly PromptChunk[]) => chunks.map(({ tokens, weights }) => [[...tokens], [...weights]]);
  assert.deepEqual(body(await encode('a (shiny:1.3) (cube:1.2)', absent)), body(await encode('a (cube:1.2)')));
  assert.deepEqual(body(await encode('shiny', absent)), body(await encode('')));
  // 74 tokens before, and the word starts the next chunk, as where it has vectors.
  const filled = await encode(`${'a '.repeat(74)} shiny cube`, absent);
  assert.deepEqual(body(filled), body(await encode(`${'a '.repeat(74)} BREAK cube`)));
});

test('chunks have as many tokens as a text encoder has positions', async () => {
  const long = await encodePrompt(new PromptText('a '.repeat(247)), { tokenizer, pad: 0, positions: 248 });
  assert.deepEqual(
    long.map(({ tokens, weights }) => [tokens.length, weights.length, tokens.indexOf(END)]),
    [
      [248, 248, 247],
      [248, 248, 2],
    ],
  );
});

test('words of several vectors stand for all of them, and are not counted twice where they are written out', () => {
  const words = new Map(Object.entries({ '<a>': 0, '<a>_1': 1, '<a>_2': 2, '<b>': 3, '<b>_2': 4, '<c>_1': 5 }));
  assert.deepEqual(Object.fromEntries(spellings(words)), {
    '<a>': [0, 1, 2],
    '<a> <a>_1 <a>_2': [0, 1, 2],
    '<a>_1': [1],
    '<a>_2': [2],
    '<b>': [3],
    '<b>_2': [4],
    '<c>_1': [5],
  });
});
