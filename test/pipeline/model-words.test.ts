// Words that a model brings in its tokenizers, for rows of its text encoders beyond CLIP's vocabulary; text encoders of other sizes.

import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadModel, type ModelSource, type Txt2ImgOptions } from '../../lib/index.ts';
import { never } from '../support/addon.ts';
import { type DiffusersNames, writeDiffusersFolder } from '../support/diffusers-folder.ts';
import { golden } from '../support/golden.ts';
import { openModel } from '../support/networks.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { tinyArchitecture, xlArchitecture } from '../support/tiny-architectures.ts';
import { normalNoise, temporaryFolder, tinyModel } from '../support/tiny-model.ts';

const VOCABULARY = 49408;
const common = { width: 16, height: 16, steps: 2, seed: 3, scheduler: 'discrete', clipSkip: 1 } as const;
const TOKENS = 'token_embedding.weight';

/** A model, and what it has for tensors. */
function written(architecture: typeof tinyArchitecture) {
  let tensors: TestTensor[] = [];
  const { path } = tinyModel({ architecture, vocabulary: VOCABULARY, edit: (all) => (tensors = all) });
  return { path, tensors };
}
const plain = written(tinyArchitecture);

/** Two vectors, and tensors with them behind those of the vocabulary. */
function withRows(tensors: readonly TestTensor[], prefix = '') {
  const table = tensors.find(({ name }) => name.startsWith(prefix) && name.endsWith(TOKENS)) as TestTensor;
  const width = table.shape[1] as number;
  const normal = normalNoise(7);
  const rows = {
    dtype: 'f32' as const,
    shape: [2, width],
    values: Float32Array.from({ length: 2 * width }, () => 0.02 * normal()),
  };
  const values = new Float32Array((VOCABULARY + 2) * width);
  values.set(table.values);
  values.set(rows.values, VOCABULARY * width);
  const longer = { ...table, shape: [VOCABULARY + 2, width], values };
  return { rows, tensors: tensors.map((tensor) => (tensor === table ? longer : tensor)) };
}

const root = join(temporaryFolder(), 'model-words');
const { rows, tensors } = withRows(plain.tensors);
writeDiffusersFolder(root, tensors, golden<DiffusersNames>('networks.json'));
const embedding = join(root, 'toy.safetensors');
writeSafetensors(embedding, [{ name: 'emb_params', ...rows }]);
const other = join(root, 'other.safetensors');
writeSafetensors(other, [{ name: 'emb_params', ...rows, shape: [64], values: rows.values.slice(64) }]);

/** Puts files into the folder of the tokenizer, and no others. */
function tokenizer(files: Readonly<Record<string, unknown>>, name = 'tokenizer', folder = root): void {
  rmSync(join(folder, name), { recursive: true, force: true });
  mkdirSync(join(folder, name), { recursive: true });
  for (const [file, content] of Object.entries(files)) {
    writeFileSync(join(folder, name, file), typeof content === 'string' ? content : JSON.stringify(content));
  }
}

async function generate(source: string | ModelSource, ...options: Txt2ImgOptions[]) {
  const messages: string[] = [];
  await using model = await loadModel(source, { threads: 1, logger: { warn: (message) => messages.push(message) } });
  const generated: Uint8Array[] = [];
  for (const each of options) {
    const { images } = await model.txt2img({ ...common, ...each });
    generated.push(images[0]?.data as Uint8Array);
  }
  return { images: generated, messages };
}

const decoder = {
  49407: { content: '<|endoftext|>' },
  49408: { content: '<toy>', special: false },
  49409: { content: '<toy>_1' },
};
const list = Object.entries(decoder).map(([id, { content }]) => ({ id: Number(id), content }));
const spellings: readonly [what: string, files: Readonly<Record<string, unknown>>][] = [
  ['added_tokens.json', { 'added_tokens.json': { '<toy>_1': 49409, '<toy>': 49408 } }],
  ['tokenizer_config.json', { 'tokenizer_config.json': { added_tokens_decoder: decoder, model_max_length: 77 } }],
  ['tokenizer.json', { 'tokenizer.json': { version: '1.0', added_tokens: list, model: { vocab: { a: 1 } } } }],
  [
    'two of them',
    { 'added_tokens.json': { '<toy>': 49408 }, 'tokenizer_config.json': {}, 'tokenizer.json': { added_tokens: list } },
  ],
];
for (const [what, files] of spellings) {
  test(`words in ${what} generate the same images as an embedding with the same vectors`, async () => {
    const embeddings = [{ path: embedding }];
    const { images: expected } = await generate(plain.path, { prompt: 'a toy, 3d', embeddings }, { prompt: 'a, 3d' });
    tokenizer(files);
    const prompts = ['a <toy>, 3d', 'a, 3d', 'a <TOY> <toy>_1, 3d'].map((prompt) => ({ prompt }));
    const { images, messages } = await generate(root, ...prompts);
    assert.deepEqual(images, [...expected, expected[0]]);
    assert.deepEqual(messages, []);
    const own = { prompt: 'a <toy>', embeddings: [{ path: other, token: '<toy>' }] };
    assert.deepEqual(
      (await generate(root, own)).images,
      (await generate(plain.path, own)).images,
      'an embedding goes before',
    );
  });
}

test('rows that no word reaches are passed over, which is said', async () => {
  const { images: expected } = await generate(plain.path, { prompt: 'a <toy>' });
  for (const [files, count] of [
    [{}, '2 rows'],
    [{ 'added_tokens.json': { '<other>': 49409, '': 49408 }, 'tokenizer.json': {} }, '1 row'],
  ] as const) {
    tokenizer(files);
    const { images, messages } = await generate(root, { prompt: 'a <toy>' });
    assert.deepEqual(images, expected);
    assert.equal(messages.length, 1);
    assert.match(
      messages[0] as string,
      new RegExp(`^The text encoder has ${count} beyond CLIP's vocabulary that no word reaches`),
    );
  }
});

const bad: readonly [what: string, files: Readonly<Record<string, unknown>>, code: string, message: RegExp][] = [
  ['no JSON', { 'added_tokens.json': '{"a": ' }, 'ERR_MODEL_CORRUPT', /added_tokens\.json': expected JSON, found/],
  ['a list', { 'added_tokens.json': [1] }, 'ERR_MODEL_CORRUPT', /expected an object, found/],
  ['a text for a number', { 'added_tokens.json': { a: '49408' } }, 'ERR_MODEL_CORRUPT', /a token number .* '49408'/],
  ['a fraction', { 'added_tokens.json': { a: 49408.5 } }, 'ERR_MODEL_CORRUPT', /a token number/],
  ['a negative number', { 'added_tokens.json': { a: -1 } }, 'ERR_MODEL_CORRUPT', /found -1/],
  ['a huge number', { 'added_tokens.json': '{"a":1e300}' }, 'ERR_MODEL_CORRUPT', /found 1e\+?300/],
  [
    'a row that is not there',
    { 'added_tokens.json': { a: 49410 } },
    'ERR_MODEL_MISMATCH',
    /row 49410 for the word 'a', but the text encoder has 49410/,
  ],
  [
    'deep nesting',
    { 'added_tokens.json': `{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}` },
    'ERR_MODEL_CORRUPT',
    /expected/,
  ],
  ['17 MiB', { 'added_tokens.json': ' '.repeat(17 * 2 ** 20) }, 'ERR_MODEL_UNSUPPORTED', /at most 16777216 bytes/],
  [
    'a decoder that is none',
    { 'tokenizer_config.json': { added_tokens_decoder: 5 } },
    'ERR_MODEL_CORRUPT',
    /an object, found 5/,
  ],
  [
    'a word that is none',
    { 'tokenizer_config.json': { added_tokens_decoder: { 49408: {} } } },
    'ERR_MODEL_CORRUPT',
    /expected a word/,
  ],
  [
    'a key that is no number',
    { 'tokenizer_config.json': { added_tokens_decoder: { x: { content: 'a' } } } },
    'ERR_MODEL_CORRUPT',
    /a token number/,
  ],
  [
    'tokens that are no list',
    { 'tokenizer.json': { added_tokens: {} } },
    'ERR_MODEL_CORRUPT',
    /a list of added_tokens/,
  ],
  ['entries of null', { 'tokenizer.json': { added_tokens: [null] } }, 'ERR_MODEL_CORRUPT', /an object, found null/],
];
test('files of tokenizers that are not what they should be are refused, and nothing else changes', async () => {
  for (const [what, files, code, message] of bad) {
    tokenizer(files);
    await assert.rejects(generate(root), { name: 'DiffusionError', code, message }, what);
  }
  tokenizer({});
  mkdirSync(join(root, 'tokenizer', 'added_tokens.json'));
  await assert.rejects(generate(root), { code: 'ERR_FILE', message: /added_tokens\.json': it is a directory/ });
  // They are read for nothing but rows that are there.
  tokenizer({ 'added_tokens.json': 'no JSON' });
  await generate({ model: root, textEncoder: plain.path }, { prompt: 'a' });
});

test('the second text encoder of SDXL has its own tokenizer', async () => {
  const { path, tensors } = written(xlArchitecture);
  const folder = join(root, 'xl');
  const prefixes = ['conditioner.embedders.0.', 'conditioner.embedders.1.'];
  const added = prefixes.map((prefix) => withRows(tensors, prefix));
  const encoders = prefixes.map((prefix, i) => {
    const own = join(folder, `text_encoder_${i}.safetensors`);
    mkdirSync(folder, { recursive: true });
    writeSafetensors(
      own,
      (added[i]?.tensors ?? []).filter(({ name }) => name.startsWith(prefix)),
    );
    return own;
  });
  const embeddings = ['both', 'clip_l', 'clip_g'].map((name) => {
    const path = join(folder, `${name}.safetensors`);
    const parts = ['clip_l', 'clip_g'].map((part, i) => ({ name: part, ...(added[i] as { rows: typeof rows }).rows }));
    writeSafetensors(
      path,
      parts.filter((part) => name === 'both' || name === part.name),
    );
    return { path, token: `<${name}>` };
  });
  const expected = await generate(path, ...embeddings.map(({ token }) => ({ prompt: `a ${token}, 3d`, embeddings })));
  const words = { 'added_tokens.json': { '<toy>': 49408, '<toy>_1': 49409 } };
  tokenizer(words, 'tokenizer', folder);
  tokenizer(words, 'tokenizer_2', folder);
  const [textEncoder, textEncoder2] = encoders as [string, string];
  const prompt = { prompt: 'a <toy>, 3d' };
  const both = await generate({ model: path, textEncoder, textEncoder2 }, prompt);
  assert.deepEqual(both.images[0], expected.images[0]);
  assert.deepEqual(both.messages, []);
  const first = await generate({ model: path, textEncoder }, prompt);
  assert.deepEqual(first.images[0], expected.images[1]);
  assert.deepEqual(first.messages, [
    "'<toy>' has no vectors for the second text encoder (clip_g), which reads the prompt without it",
  ]);
  const second = await generate({ model: path, textEncoder2 }, prompt);
  assert.deepEqual(second.images[0], expected.images[2]);
  rmSync(join(folder, 'tokenizer_2'), { recursive: true });
  const { messages } = await generate({ model: path, textEncoder, textEncoder2 });
  assert.match(messages.join(), /^The second text encoder has 2 rows/);
});

test('LongCLIP reads 248 tokens at once; its first 77 are those of the positions that CLIP has', async () => {
  const long = { ...tinyArchitecture, text: { width: 64, layers: 2, positions: 248 } };
  const positions = (tensors: TestTensor[]) =>
    tensors.find(({ name }) => name.endsWith('position_embedding.weight')) as TestTensor;
  const { path } = tinyModel({
    architecture: long,
    vocabulary: VOCABULARY,
    edit: (tensors) => {
      const beginning = positions(plain.tensors);
      const table = positions(tensors);
      table.values.set(beginning.values);
      return plain.tensors.map((tensor) => (tensor === beginning ? table : tensor));
    },
  });
  const encode = async (model: string, length: number) => {
    const opened = await openModel({ model }, { device: 'cpu', threads: 1, precision: 'f32', cancellation: never });
    const tokens = Int32Array.from({ length }, (_, i) => (i * 7919) % VOCABULARY);
    const { hidden } = await opened.encodeText(0, tokens, 1, never);
    await opened.dispose();
    return hidden;
  };
  const short = await encode(plain.path, 77);
  const hidden = await encode(path, 248);
  assert.equal(hidden.length, (248 * short.length) / 77);
  for (const [i, value] of short.entries()) assert.ok(Math.abs(value - (hidden[i] as number)) < 1e-5);

  const words = 'a red apple '.repeat(60); // 180 tokens: a chunk
  const { images } = await generate(
    path,
    { prompt: words },
    { prompt: `(${words}:1.2)` },
    { prompt: `${words} BREAK a green pear` },
  );
  assert.equal(new Set(images.map(String)).size, 3);
});

test('text encoders of other sizes are refused by their sizes, and LongCLIP beside another', async () => {
  const sized = (positions: number, positions2: number, vocabulary: number) =>
    tinyModel({
      architecture: {
        ...xlArchitecture,
        text: { width: 64, layers: 2, positions },
        text2: { width: 128, layers: 3, positions: positions2 },
      },
      vocabulary,
    }).path;
  for (const [path, message] of [
    [sized(248, 77, VOCABULARY), /the same number of positions.* has some of 248 and 77\. LongCLIP has 248/],
    [sized(64, 64, 1000), /77 positions \(LongCLIP: 248\) .* one with 64 positions and 1000 tokens/],
  ] as const) {
    await assert.rejects(loadModel(path), { code: 'ERR_MODEL_UNSUPPORTED', message });
  }
});
