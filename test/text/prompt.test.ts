// Attention syntax, chunks and weights of prompts. Goldens: test/reference/text.py, chunks.cpp.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAttention, type WeightedText } from '../../lib/text/attention.ts';
import { encodePrompt, type PromptChunk, padChunks } from '../../lib/text/chunks.ts';
import { PromptText } from '../../lib/text/prompt-text.ts';
import { loadClipTokenizer } from '../../lib/text/tokenizer.ts';
import { applyWeights } from '../../lib/text/weights.ts';
import { golden } from '../support/golden.ts';

const tokenizer = await loadClipTokenizer();
const START = 49406;
const END = 49407;
const encode = (prompt: string, pad = END) => encodePrompt(new PromptText(prompt), { tokenizer, pad });
const body = ({ tokens }: PromptChunk) => [...tokens.subarray(1, tokens.indexOf(END, 1))];
const weightsOf = (prompt: string) =>
  parseAttention(prompt)
    .flat()
    .map(({ text, weight }) => [text, weight]);

const goldens = golden<{
  attention: [prompt: string, expected: [text: string, weight: number][]][];
  hidden: number[];
  weights: number[][];
  weighted: number[];
}>('prompts.json');

test('the attention syntax is read as AUTOMATIC1111 documents it', () => {
  for (const [prompt, expected] of goldens.attention) {
    // The reference lists a BREAK as an item and takes the white space around it away.
    const sections: WeightedText[][] = [[]];
    for (const [text, weight] of expected) {
      if (text === 'BREAK' && weight === -1) sections.push([]);
      else sections.at(-1)?.push({ text, weight });
    }
    const actual = parseAttention(prompt);
    const trimmed = actual.map((section) => section.map(({ text, weight }) => ({ text: text.trim(), weight })));
    const comparable = sections.length === 1 ? actual : trimmed.map((section) => section.filter(({ text }) => text));
    assert.deepEqual(comparable, sections, prompt);
  }
});

test('BREAK inside brackets ends a section and keeps their weight on both sides', () => {
  assert.deepEqual(parseAttention('(a BREAK b:1.5)c'), [
    [{ text: 'a ', weight: 1.5 }],
    [
      { text: ' b', weight: 1.5 },
      { text: 'c', weight: 1 },
    ],
  ]);
});

type Tree = { word: string } | { brackets: '()' | '[]' | ':'; weight: number; children: Tree[] };
const { tree } = fc.letrec<{ tree: Tree; word: Tree; group: Tree }>((tie) => ({
  tree: fc.oneof({ depthSize: 'small' }, tie('word'), tie('group')),
  word: fc.record({ word: fc.stringMatching(/^[a-z]{1,6}$/) }),
  group: fc.record({
    brackets: fc.constantFrom('()', '[]', ':'),
    weight: fc.integer({ min: -30, max: 30 }).map((n) => n / 10),
    children: fc.array(tie('tree'), { maxLength: 4 }),
  }),
}));

function render(node: Tree): string {
  if ('word' in node) return ` ${node.word} `;
  const inner = node.children.map(render).join('');
  return node.brackets === ':' ? `(${inner}:${node.weight})` : node.brackets[0] + inner + node.brackets[1];
}

function leaves(node: Tree, outer: number): [string, number][] {
  if ('word' in node) return [[node.word, outer]];
  const weight = { '()': 1.1, '[]': 1 / 1.1, ':': node.weight }[node.brackets];
  return node.children.flatMap((child) => leaves(child, outer * weight));
}

test('a word weighs the product of its brackets', () => {
  fc.assert(
    fc.property(tree, (root) => {
      const actual = parseAttention(render(root)).flat();
      const words = actual.flatMap(({ text, weight }) => (text.match(/\w+/g) ?? []).map((word) => ({ word, weight })));
      const expected = leaves(root, 1);
      assert.deepEqual(
        words.map(({ word }) => word),
        expected.map(([word]) => word),
      );
      for (const [i, { weight }] of words.entries()) {
        const want = expected[i]?.[1] as number;
        assert.ok(Math.abs(weight - want) <= 1e-12 * Math.abs(want), `${weight} against ${want}`);
      }
    }),
    { numRuns: 500 },
  );
});

test('escaping every special character gives the text back', async () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[()[\]\\:1.a ]{0,30}$/), (text) => {
      const escaped = text.replace(/[()[\]\\]/g, (character) => `\\${character}`);
      assert.deepEqual(parseAttention(escaped), [text === '' ? [] : [{ text, weight: 1 }]]);
    }),
  );
});

const REFUSED: [name: string, prompt: string, message: RegExp][] = [
  ['a weight with two points', '(a:1.2.3)', /a number as attention weight .*'1\.2\.3'.*\(text:1\.3\)/],
  ['a weight without digits', '(a:.)', /a number as attention weight/],
  ['a weight of 400 digits', `(a:${'9'.repeat(400)})`, /a number as attention weight/],
  ['a weight beyond 32 bits', `(a:1${'0'.repeat(39)})`, /fits a 32-bit float/],
  ['a product beyond 32 bits', `(((a:1${'0'.repeat(20)}):1${'0'.repeat(20)}))`, /fits a 32-bit float/],
  ['257 open brackets', '('.repeat(257), /at most 256 brackets open/],
  ['257 open brackets of both kinds', `${'(['.repeat(128)}(`, /at most 256 brackets open/],
  ['100,000 nested parentheses', `${'('.repeat(100_000)}a${')'.repeat(100_000)}`, /at most 256 brackets open/],
];

for (const [name, prompt, message] of REFUSED) {
  test(`refused with a typed error: ${name}`, async () => {
    const expected = { name: 'RangeError', code: 'ERR_INVALID_ARG_VALUE', message };
    await assert.rejects(encode(prompt), expected);
    await assert.rejects(
      encodePrompt(new PromptText(prompt, 'negativePrompt'), { tokenizer, pad: END }),
      /for negativePrompt/,
    );
  });
}

const LONG: Record<string, string> = {
  'brackets 256 deep': `${'(['.repeat(127)}${'(a)'.repeat(330_000)}`,
  'empty brackets': '()'.repeat(500_000),
  'closing brackets': ')]'.repeat(500_000),
  'colons before spaces': `:${' '.repeat(1000)}`.repeat(1000),
  'digits behind a colon': `(a:${'1'.repeat(1_000_000)}`,
  'spaces behind a weight': `(a:1${' '.repeat(1_000_000)}`,
  backslashes: '\\'.repeat(1_000_000),
  BREAK: 'BREAK '.repeat(160_000),
  'a capital B': 'B'.repeat(1_000_000),
};

for (const [name, prompt] of Object.entries(LONG)) {
  test(`a megabyte of syntax takes seconds, not minutes: ${name}`, async () => {
    const before = process.cpuUsage();
    await encode(prompt);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 10e6, `${(user + system) / 1e6} s of processor time`);
  });
}

test('a chunk is start, text, end and padding', async () => {
  const [chunk, ...others] = await encode('a photo of a (cat:1.3)', 0);
  assert.equal(others.length, 0);
  assert.deepEqual([...(chunk?.tokens ?? [])], [START, 320, 1125, 539, 320, 2368, END, ...new Array(70).fill(0)]);
  const weights = [1, 1, 1, 1, 1, Math.fround(1.3), ...new Array(71).fill(1)];
  assert.deepEqual([...(chunk?.weights ?? [])], weights);
});

test('chunks and their weights equal those of stable-diffusion.cpp', async () => {
  for (const [prompt, tokens, weights] of golden<[string, number[], number[]][]>('chunks.json')) {
    const chunks = await encode(prompt);
    assert.deepEqual(
      chunks.flatMap((chunk) => [...chunk.tokens]),
      tokens,
      prompt,
    );
    for (const [i, weight] of chunks.flatMap((chunk) => [...chunk.weights]).entries()) {
      assert.ok(Math.abs(weight - (weights[i] as number)) <= 2e-6, `${prompt}: token ${i} weighs ${weight}`);
    }
  }
});

test('an empty prompt is one chunk of start, end and padding', async () => {
  for (const prompt of ['', '  ', '()', 'BREAK', 'BREAK BREAK']) {
    assert.deepEqual(await encode(prompt), [
      { tokens: Int32Array.of(START, ...new Array(76).fill(END)), weights: new Float32Array(77).fill(1) },
    ]);
  }
});

test('a long prompt goes on in the next chunk after 75 tokens, commas or not', async () => {
  const cats = (count: number) => new Array<number>(count).fill(2368);
  assert.deepEqual((await encode('cat '.repeat(75))).map(body), [cats(75)]);
  assert.deepEqual((await encode('cat '.repeat(76))).map(body), [cats(75), cats(1)]);
  assert.deepEqual((await encode('cat '.repeat(160))).map(body), [cats(75), cats(75), cats(10)]);
  assert.deepEqual((await encode(`${'cat '.repeat(70)}, ${'cat '.repeat(10)}`)).map(body), [
    [...cats(70), 267, ...cats(4)],
    cats(6),
  ]);
});

test('BREAK fills the chunk with end tokens and starts the next', async () => {
  const [first, second, ...others] = await encode('a BREAK cat', 0);
  assert.equal(others.length, 0);
  assert.deepEqual([...(first?.tokens ?? [])], [START, 320, ...new Array(75).fill(END)]);
  assert.deepEqual([...(second?.tokens ?? [])], [START, 2368, END, ...new Array(74).fill(0)]);
});

test('BREAK at the border of two chunks does nothing', async () => {
  const cats = 'cat '.repeat(75);
  assert.deepEqual(
    (await encode(`BREAK ${cats} BREAK BREAK dog BREAK`)).map(body),
    (await encode(`${cats} dog`)).map(body),
  );
});

test('chunks hold the tokens of the text in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('cat', 'a', ',', '猫', '😀', '12', 'unbelievably'), { maxLength: 300 }),
      async (words) => {
        const prompt = words.join(' ');
        const chunks = await encode(prompt);
        assert.deepEqual(chunks.flatMap(body), await tokenizer.encode(prompt));
        for (const { tokens, weights } of chunks) {
          assert.equal(tokens.length, 77);
          assert.equal(tokens[0], START);
          assert.equal(tokens[76], END);
          assert.ok(weights.length === 77 && weights.every((weight) => weight === 1));
        }
      },
    ),
  );
});

test('the shorter prompt is repeated while it fits and then filled with empty chunks', async () => {
  const [one] = (await encode('one')) as [PromptChunk];
  const two = await encode('a BREAK b');
  const five = await encode('a BREAK b BREAK c BREAK d BREAK e');
  const [empty] = (await encode('')) as [PromptChunk];
  assert.deepEqual(padChunks([one], five, empty), [[one, one, one, one, one], five]);
  assert.deepEqual(padChunks(five, two, empty), [five, [...two, ...two, empty]]);
  assert.deepEqual(padChunks(two, two, empty), [two, two]);
});

test('weights scale the hidden states and keep the mean of each chunk', () => {
  const hidden = Float32Array.from(goldens.hidden);
  applyWeights(
    hidden,
    goldens.weights.map((row) => Float32Array.from(row)),
  );
  for (const [i, value] of hidden.entries()) {
    const expected = goldens.weighted[i] as number;
    assert.ok(Math.abs(value - expected) <= 2e-6 * Math.max(1, Math.abs(expected)), `${i}: ${value}, ${expected}`);
  }
});

test('neutral weights change no bit', () => {
  const hidden = Float32Array.from(goldens.hidden);
  applyWeights(hidden, [new Float32Array(77).fill(1), new Float32Array(77).fill(1)]);
  assert.deepEqual(hidden, Float32Array.from(goldens.hidden));
});

test('a chunk whose weighted mean is zero keeps the product', () => {
  const hidden = new Float32Array(77).fill(2);
  applyWeights(hidden, [new Float32Array(77)]);
  assert.deepEqual(hidden, new Float32Array(77));
});

test('weights that do not fit the hidden states are refused', () => {
  assert.throws(() => applyWeights(new Float32Array(100), [new Float32Array(77)]), RangeError);
  assert.throws(() => applyWeights(new Float32Array(154), [new Float32Array(77), new Float32Array(76)]), RangeError);
  assert.throws(() => applyWeights(new Float32Array(77), []), RangeError);
});

test('a prompt in brackets weighs what its syntax says', () => {
  assert.deepEqual(weightsOf('a [b] ((c)'), [
    ['a ', 1],
    ['b', 1 / 1.1],
    [' ', 1],
    ['c', 1.1 * 1.1],
  ]);
});
