// Words in files of embeddings: several in one file, words of several vectors, files for some of a model's text encoders, and other
// spellings of the same numbers. What means the same gives the same bytes.

import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it, test } from 'node:test';
import { loadModel, type Model, type Txt2ImgOptions } from '../../lib/index.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { sd2Architecture, xlArchitecture } from '../support/tiny-architectures.ts';
import { normalNoise, temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import { pickled, writeCheckpoint, writeTensor } from '../support/torch-file.ts';

const folder = join(temporaryFolder(), 'words');
mkdirSync(folder);
const common = { width: 16, height: 16, steps: 2, seed: 3, scheduler: 'discrete' } as const;

/** Random vectors of a width, at the scale of a vocabulary's. */
function tensor(name: string, rows: number, width: number, seed = 1): TestTensor {
  const normal = normalNoise(seed);
  return { name, dtype: 'f32', shape: [rows, width], values: Float32Array.from({ length: rows * width }, normal) };
}
const renamed = (name: string, one: TestTensor): TestTensor => ({ ...one, name });
/** Some rows of a matrix; a vector where it is one. */
function rows(name: string, { shape: [, width = 0], values }: TestTensor, start: number, end = start + 1): TestTensor {
  const shape = end - start === 1 ? [width] : [end - start, width];
  return { name, dtype: 'f32', shape, values: values.slice(start * width, end * width) };
}
function file(name: string, ...tensors: TestTensor[]): string {
  const path = join(folder, name);
  writeSafetensors(path, tensors);
  return path;
}

/** Loads a model and returns a function that generates: the bytes of the image, its warnings and embeddings. */
function generatorOf(architecture: typeof sd2Architecture) {
  let model: Model;
  before(async () => {
    model = await loadModel(tinyModel({ architecture, vocabulary: 49408 }).path, { threads: 1 });
  });
  after(() => model.dispose());
  return async (options: Txt2ImgOptions) => {
    const { images, warnings, embeddings } = await model.txt2img({ ...common, ...options });
    return { image: images[0]?.data as Uint8Array, warnings, embeddings };
  };
}

describe('words in files for a model with one text encoder', () => {
  const generate = generatorOf(sd2Architecture);
  const three = tensor('emb_params', 3, 128);
  const whole = file('whole.safetensors', three);
  const two = file('two.safetensors', rows('<one>', three, 0), rows('<two>', three, 1, 3));
  const expected = async () => (await generate({ prompt: 'a whole', embeddings: [{ path: whole }] })).image;

  it('go by the names in the file, in any case', async () => {
    const one = await generate({ prompt: 'a <one> <TWO>', embeddings: [{ path: two }] });
    assert.deepEqual(one.image, await expected());
    assert.deepEqual(one.embeddings, [
      { token: '<one>', path: two, vectors: 1 },
      { token: '<two>', path: two, vectors: 2 },
    ]);
    assert.deepEqual(one.warnings, []);
  });

  it('go by their names in a file that is named for another, and in the dictionary of AUTOMATIC1111', async () => {
    const only = file('learned_embeds.safetensors', renamed('<cat-toy>', three));
    assert.deepEqual((await generate({ prompt: 'a <cat-toy>', embeddings: [{ path: only }] })).image, await expected());
    const dictionary = join(folder, 'dictionary.pt');
    writeCheckpoint(
      dictionary,
      [rows('red', three, 0), rows('blue', three, 1, 3)],
      [['name', pickled.text('x')]],
      'string_to_param',
    );
    const { image } = await generate({ prompt: 'a red blue', embeddings: [{ path: dictionary }] });
    assert.deepEqual(image, await expected());
  });

  it('of several vectors are written as diffusers writes them', async () => {
    const names = ['<cat>', '<cat>_1', '<cat>_2'];
    const path = file('learned.safetensors', ...names.map((name, i) => rows(name, three, i)));
    for (const prompt of ['a <cat>', 'a <cat> <cat>_1 <cat>_2', 'a learned']) {
      assert.deepEqual((await generate({ prompt, embeddings: [{ path }] })).image, await expected(), prompt);
    }
    const second = file('second.safetensors', rows('emb_params', three, 1));
    assert.deepEqual(
      (await generate({ prompt: 'a <cat>_1', embeddings: [{ path }] })).image,
      (await generate({ prompt: 'a second', embeddings: [{ path: second }] })).image,
    );
  });

  it('are found in a folder, behind the names of files; of two files the first has it, which is said', async () => {
    const library = join(folder, 'library');
    mkdirSync(library);
    const words = [rows('<one>', three, 0), rows('<two>', three, 1, 3)];
    writeSafetensors(join(library, 'first.safetensors'), words);
    writeSafetensors(join(library, 'second.safetensors'), [tensor('<two>', 2, 128, 9)]);
    writeSafetensors(join(library, 'third.safetensors'), [tensor('<two>', 2, 64)]);
    writeFileSync(join(library, 'broken.bin'), 'no tensors');
    const all = { prompt: 'a <one> <two>', embeddingDirectory: library };
    const { image, warnings, embeddings } = await generate(all);
    assert.deepEqual(image, await expected());
    assert.match(
      warnings.join(),
      /first\.safetensors' and .*second\.safetensors' both define the word '<two>'; the first is used/,
    );
    assert.match(warnings.join(), /third\.safetensors': expected vectors of 128 values .* found 64/);
    assert.equal(embeddings.length, 2);
    const given = await generate({ ...all, embeddings: [{ path: join(library, 'second.safetensors') }] });
    assert.notDeepEqual(given.image, image, 'what is given by itself goes before');
    assert.deepEqual(given.warnings, []);
    writeSafetensors(join(library, '<one>.safetensors'), [tensor('x', 1, 128, 8)]);
    assert.notDeepEqual((await generate(all)).image, image, 'the name of a file goes before');
    if (process.platform === 'win32') return;
    symlinkSync(file('outside.safetensors', tensor('<outside>', 1, 128)), join(library, 'link.safetensors'));
    await assert.rejects(generate({ ...all, prompt: '<outside>' }), { code: 'ERR_FILE', message: /leads out of it/ });
  });

  const numbers = Float32Array.from({ length: 128 }, (_, i) => [0.5, -0.5, 0.25, 1][((i * i) % 7) % 4] as number);
  const halves = (each: (value: number) => number) => Buffer.from(Uint16Array.from(numbers, each).buffer);
  const bits = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0] as number;
  const eighths: Readonly<Record<string, number>> = { '0.5': 0x30, '-0.5': 0xb0, '0.25': 0x28, '1': 0x38 };
  const types: readonly [dtype: string, bytes: Buffer][] = [
    ['F32', Buffer.from(numbers.buffer)],
    ['F64', Buffer.from(Float64Array.from(numbers).buffer)],
    ['BF16', halves((value) => bits(value) >>> 16)],
    ['F8_E4M3', Buffer.from(Uint8Array.from(numbers, (value) => eighths[`${value}`] as number))],
  ];
  it('may be numbers of any type, a tensor alone, and saved from any device', async () => {
    const [, ...paths] = types.map(([dtype, bytes]) => {
      const header = Buffer.from(
        JSON.stringify({ '<w>': { dtype, shape: [1, 128], data_offsets: [0, bytes.length] } }),
      );
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(header.length));
      const path = join(folder, `${dtype}.safetensors`);
      writeFileSync(path, Buffer.concat([length, header, bytes]));
      return path;
    });
    for (const device of ['cpu', 'cuda:1', 'mps', 'xpu:0']) {
      const path = join(folder, `${device.replace(':', '')}.pt`);
      writeTensor(path, { name: '', dtype: 'f32', shape: [128], values: numbers }, device);
      paths.push(path);
    }
    const runs = [join(folder, 'F32.safetensors'), ...paths].map((path) =>
      generate({ prompt: 'a w', embeddings: [{ path, token: 'w' }] }),
    );
    const [first, ...others] = (await Promise.all(runs)).map(({ image }) => image);
    for (const [i, image] of others.entries()) assert.deepEqual(image, first, paths[i]);
  });

  const many = Array.from({ length: 9000 }, (_, i) => rows(`<w${i}>`, three, 0));
  const bad: readonly [what: string, prompt: string, path: () => string, code: string, message: RegExp][] = [
    [
      'a file of several words by its name',
      'a two',
      () => two,
      'ERR_MODEL_UNSUPPORTED',
      /for one word, 'two', found those of 2: '<one>', '<two>'\. If it has several words, use those, not 'two'/,
    ],
    [
      'NaN in the word that is named',
      '<b>',
      () =>
        file('nan.safetensors', rows('<a>', three, 0), {
          ...rows('<b>', three, 1),
          values: new Float32Array(128).fill(Number.NaN),
        }),
      'ERR_MODEL_CORRUPT',
      /nan\.safetensors': expected finite numbers/,
    ],
    [
      'a word for another model',
      '<b>',
      () => file('wide.safetensors', rows('<a>', three, 0), tensor('<b>', 1, 768)),
      'ERR_MODEL_MISMATCH',
      /vectors of 128 values .* found 768/,
    ],
    [
      'a word of more vectors than fit a chunk, in parts',
      '<b>',
      () => file('long.safetensors', tensor('<b>', 75, 128), rows('<b>_1', three, 0)),
      'ERR_MODEL_UNSUPPORTED',
      /at most the 75 vectors that fit a chunk, found 76/,
    ],
    [
      'thousands of words by the name of their file',
      'a many',
      () => file('many.safetensors', ...many),
      'ERR_MODEL_UNSUPPORTED',
      /many\.safetensors.* holds more than 1048576 numbers/,
    ],
  ];
  for (const [what, prompt, path, code, message] of bad) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(generate({ prompt, embeddings: [{ path: path() }] }), { code, message });
    });
  }

  it('are passed over where the prompt names none, whatever they are called and however many there are', async () => {
    const { image } = await generate({ prompt: 'a' });
    const names = ['constructor', 'hasOwnProperty', ' ', 'a'.repeat(300), '<é>'];
    const paths = [
      join(folder, 'many.safetensors'),
      file('names.safetensors', ...names.map((name) => rows(name, three, 0))),
      file('thousand.safetensors', ...many.slice(0, 2000)),
      file('axes.safetensors', { name: 'a', dtype: 'f32', shape: [1, 1, 128], values: new Float32Array(128) }),
    ];
    const result = await generate({ prompt: 'a', embeddings: paths.map((path) => ({ path })) });
    assert.deepEqual(result.image, image);
    assert.deepEqual(result.embeddings, []);
    const { embeddings } = await generate({
      prompt: 'hasOwnProperty constructor <É> <w1999>',
      embeddings: paths.map((path) => ({ path })),
    });
    assert.deepEqual(embeddings.map(({ token }) => token).sort(), ['<w1999>', '<é>', 'constructor', 'hasOwnProperty']);
  });
});

describe('words in files for SDXL', () => {
  const generate = generatorOf(xlArchitecture);
  const l = tensor('clip_l', 2, 64);
  const g = tensor('clip_g', 2, 128, 2);
  const both = file('both.safetensors', l, g);
  const named = (path: string) => generate({ prompt: 'a word, 3d', embeddings: [{ path, token: 'word' }] });

  it('have a part for each text encoder, which pivotal tuning calls otherwise', async () => {
    const pivotal = file('pivotal.safetensors', renamed('text_encoders_0', l), renamed('text_encoders_1', g));
    const more = file('more.safetensors', l, g, tensor('t5xxl', 2, 96));
    const { image, warnings } = await named(both);
    assert.deepEqual(warnings, []);
    for (const path of [pivotal, more])
      assert.deepEqual(await named(path), {
        ...(await named(both)),
        embeddings: [{ token: 'word', path, vectors: 2 }],
      });
    assert.notDeepEqual(image, (await generate({ prompt: 'a word, 3d' })).image);
  });

  it('may be in two files, one for each text encoder', async () => {
    const paths = [
      file('learned_embeds.safetensors', renamed('<w>', l)),
      file('learned_embeds_2.safetensors', renamed('<w>', g)),
    ];
    const { image, warnings, embeddings } = await generate({
      prompt: 'a <w>, 3d',
      embeddings: paths.map((path) => ({ path })),
    });
    assert.deepEqual(image, (await named(both)).image);
    assert.deepEqual(warnings, []);
    assert.deepEqual(
      embeddings,
      paths.map((path) => ({ token: '<w>', path, vectors: 2 })),
    );
  });

  it('are left out of what a text encoder reads that they have no vectors for, which is said', async () => {
    const images = new Set([(await named(both)).image, (await generate({ prompt: 'a, 3d' })).image].map(String));
    for (const [lacking, ...tensors] of [
      ['second text encoder (clip_g)', l, renamed('text_encoders_0', l), renamed('emb_params', l), renamed('<w>', l)],
      ['first text encoder (clip_l)', g, renamed('text_encoders_1', g), renamed('emb_params', g)],
    ] as const) {
      const generated = [];
      for (const one of tensors) generated.push(await named(file(`one-${one.name}.safetensors`, one)));
      for (const { image, warnings } of generated) {
        assert.deepEqual(image, generated[0]?.image);
        assert.deepEqual(warnings, [`'word' has no vectors for the ${lacking}, which reads the prompt without it`]);
      }
      images.add(String(generated[0]?.image));
    }
    assert.equal(images.size, 4);
  });
});

test('a word of the negative prompt that a text encoder lacks is reported once', async () => {
  await using model = await loadModel(tinyModel({ architecture: xlArchitecture, vocabulary: 49408 }).path, {
    threads: 1,
  });
  const path = file('negative.safetensors', tensor('clip_l', 1, 64));
  const { warnings } = await model.txt2img({
    ...common,
    prompt: 'negative',
    negativePrompt: 'negative',
    embeddings: [{ path }],
  });
  assert.equal(warnings.length, 1);
});
