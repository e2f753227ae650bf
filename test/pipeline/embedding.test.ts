// Embeddings of textual inversion: what text encoders and whole images make of them, against transformers and diffusers; the
// forms of their files; what does not fit. The goldens come from test/reference/textual_inversion.py.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, describe, it, test } from 'node:test';
import { type EmbeddingOption, loadModel, type Model, type Txt2ImgOptions } from '../../lib/index.ts';
import { addon, never } from '../support/addon.ts';
import { assertClose, psnr } from '../support/compare.ts';
import { golden, goldenTensors } from '../support/golden.ts';
import { openModel } from '../support/networks.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { sd2Architecture, tinyArchitecture, xlArchitecture } from '../support/tiny-architectures.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import { pickled, writeCheckpoint } from '../support/torch-file.ts';

const goldens = goldenTensors('textual_inversion.safetensors');
const ARCHITECTURES = { sd2: sd2Architecture, xl: xlArchitecture };
type Name = keyof typeof ARCHITECTURES;
type Image = Txt2ImgOptions & { model: Name; image: string };

/** A model with the whole vocabulary, written once: that takes seconds. */
const written = new Map<Name, string>();
function wordModel(name: Name): string {
  const path = written.get(name) ?? tinyModel({ architecture: ARCHITECTURES[name], vocabulary: 49408 }).path;
  written.set(name, path);
  return path;
}

const WORDS = ['<cat-toy>', 'Shiny'];
const folder = join(temporaryFolder(), 'embeddings');
mkdirSync(folder);
const place = (name: string): string => join(folder, name);

function vectors(model: Name, word: string, encoder = 0): { shape: number[]; values: Float32Array } {
  const found = goldens.get(`${model}/${word}/${encoder}`);
  assert.ok(found);
  return found as { shape: number[]; values: Float32Array };
}
const tensor = (name: string, { shape, values }: { shape: number[]; values: Float32Array }): TestTensor => ({
  name,
  dtype: 'f32',
  shape,
  values,
});

/** Writes a safetensors file, with `clip_l` and `clip_g` where the model has two encoders. */
function write(model: Name, word: string): EmbeddingOption {
  const path = place(`${model}-${WORDS.indexOf(word)}.safetensors`);
  const names = model === 'xl' ? ['clip_l', 'clip_g'] : [word];
  writeSafetensors(
    path,
    names.map((name, i) => tensor(name, vectors(model, word, i))),
  );
  return { path, token: word };
}

for (const name of ['sd2', 'xl'] as const) {
  test(`tokens behind the vocabulary stand for vectors, in the text encoders of ${name}`, async () => {
    const { path } = tinyModel({ architecture: ARCHITECTURES[name] });
    const model = await openModel(
      { model: path },
      { device: 'cpu', threads: 1, precision: 'f32', cancellation: never },
    );
    try {
      const tokens = goldens.get(`${name}.tokens`)?.values as Int32Array;
      for (const [i, { width }] of model.info.textEncoders.entries()) {
        const all = Float32Array.from(WORDS.flatMap((word) => [...vectors(name, word, i).values]));
        const { hidden, pooled } = await model.encodeText(i, tokens, 1, never, all);
        const seventh = hidden.filter((_, at) => (Math.floor(at / width) % 77) % 7 === 0);
        assertClose(seventh, goldens.get(`${name}.hidden${i}`)?.values as Float32Array, 2e-5);
        const expected = goldens.get(`${name}.pooled`)?.values;
        if (expected && pooled.length > 0) assertClose(pooled, expected, 2e-5);
      }
      const { vocabulary, width } = model.info.textEncoders[0] as { vocabulary: number; width: number };
      const bad: readonly [tokens: Int32Array, vectors: unknown, code: string][] = [
        [new Int32Array(77).fill(vocabulary), undefined, 'ERR_INVALID_ARG_VALUE'],
        [new Int32Array(77).fill(vocabulary), new Float32Array(), 'ERR_INVALID_ARG_VALUE'],
        [new Int32Array(77).fill(vocabulary + 2), new Float32Array(2 * width), 'ERR_INVALID_ARG_VALUE'],
        [new Int32Array(77).fill(2 ** 31 - 1), new Float32Array(width), 'ERR_INVALID_ARG_VALUE'],
        [new Int32Array(77), new Float32Array(width + 1), 'ERR_INVALID_ARG_VALUE'],
        [new Int32Array(77), new Float32Array(width * 65_537), 'ERR_INVALID_ARG_VALUE'],
        [new Int32Array(77), [1, 2], 'ERR_INVALID_ARG_TYPE'],
      ];
      for (const [tokens, vectors, code] of bad) {
        await assert.rejects(model.encodeText(0, tokens, 1, never, vectors as Float32Array), { code });
      }
    } finally {
      await model.dispose();
    }
  });
}

describe('txt2img with embeddings generates the images of diffusers', () => {
  for (const { image, model: name, ...options } of golden<Image[]>('textual_inversion.json')) {
    it(name, async () => {
      await using model = await loadModel(wordModel(name), {
        device: 'cpu',
        threads: 1,
        precision: 'f32',
        prediction: 'epsilon',
      });
      const generate = async (more: Partial<Txt2ImgOptions>) => {
        const fixed = { sampler: 'euler', scheduler: 'discrete', rng: 'cpu' } as const;
        const { prediction: _, ...rest } = options as typeof options & { prediction?: string };
        return (await model.txt2img({ ...rest, ...fixed, ...more })).images[0]?.data as Uint8Array;
      };
      const expected = Buffer.from(image, 'base64');
      const generated = await generate({ embeddings: WORDS.map((word) => write(name, word)) });
      assert.ok(psnr(generated, expected, 255) >= 50, `${psnr(generated, expected, 255).toFixed(1)} dB`);
      assert.ok(psnr(await generate({}), expected, 255) < 45, 'without them it is another');
    });
  }
});

const common = { width: 16, height: 16, steps: 2, seed: 3, scheduler: 'discrete' } as const;

describe('embeddings of a model with one text encoder', () => {
  let model: Model;
  let generate: (options: Partial<Txt2ImgOptions>) => Promise<Uint8Array>;
  const three = vectors('sd2', '<cat-toy>');
  before(async () => {
    model = await loadModel(wordModel('sd2'), { threads: 1 });
    generate = async (options) => {
      const { images } = await model.txt2img({ ...common, prompt: 'a shiny', ...options });
      return images[0]?.data as Uint8Array;
    };
  });
  after(() => model.dispose());

  const forms: readonly [what: string, file: string, write: (path: string) => void][] = [
    ['of diffusers', 'a.safetensors', (path) => writeSafetensors(path, [tensor('<shiny>', three)])],
    ['of kohya-ss', 'b.safetensors', (path) => writeSafetensors(path, [tensor('emb_params', three)])],
    [
      'of AUTOMATIC1111',
      'c.pt',
      (path) =>
        writeCheckpoint(
          path,
          [tensor('*', three)],
          [
            ['name', pickled.text('x')],
            ['step', pickled.number(5)],
          ],
          'string_to_param',
        ),
    ],
    ['of diffusers, pickled', 'd.bin', (path) => writeCheckpoint(path, [tensor('<shiny>', three)], [], '')],
    [
      'in float16',
      'e.safetensors',
      (path) => writeSafetensors(path, [{ ...tensor('emb_params', three), dtype: 'f16' }]),
    ],
  ];
  it('are read in every form', async () => {
    let expected: Uint8Array | undefined;
    const plain = await generate({});
    for (const [what, file, write] of forms) {
      write(place(file));
      const image = await generate({ embeddings: [{ path: place(file), token: 'Shiny' }] });
      expected ??= image;
      assert.ok(psnr(image, expected, 255) > 45, what);
      assert.ok(psnr(image, plain, 255) < 45, `${what}: it changes the image`);
    }
  });

  it('stand for the names of their files, in a folder too, in both prompts, with weights', async () => {
    const library = join(folder, 'library');
    mkdirSync(library);
    const path = join(library, 'Shiny.safetensors');
    writeSafetensors(path, [tensor('emb_params', three)]);
    writeFileSync(join(library, 'cat.safetensors'), 'broken, and not named by any prompt');
    writeFileSync(join(library, 'shiny.txt'), 'no embedding');
    const own = { embeddings: [{ path }] };
    const all = { embeddingDirectory: library };
    assert.deepEqual(await generate(own), await generate(all));
    const result = await model.txt2img({ ...common, prompt: 'a SHINY', negativePrompt: '(shiny:1.2)', ...all });
    const report = { token: 'Shiny', path, vectors: 3 };
    assert.deepEqual(result.embeddings, [report]);
    assert.deepEqual(result.images[0]?.parameters?.embeddings, [report]);
    assert.deepEqual((await model.txt2img({ ...common, prompt: 'shinys', ...all })).embeddings, []);
    const negative = { prompt: 'a', ...all };
    const images = await Promise.all(
      ['', 'shiny', '(shiny:1.2)', 'shinys'].map((negativePrompt) => generate({ ...negative, negativePrompt })),
    );
    assert.equal(new Set(images.map((image) => Buffer.from(image).toString('hex'))).size, 4);
    const twin = join(library, 'shiny.pt');
    writeFileSync(twin, '');
    await assert.rejects(generate(all), { code: 'ERR_FILE', message: /one embedding named 'shiny'/i });
    assert.deepEqual(await generate({ ...all, ...own }), await generate(own), 'what is given by itself goes before');
  });

  const file = (name: string, ...tensors: TestTensor[]) => {
    writeSafetensors(place(name), tensors);
    return place(name);
  };
  const zeros = (...shape: number[]) => ({ shape, values: new Float32Array(shape.reduce((a, b) => a * b, 1)) });
  const declared = (name: string, shape: number[]) => {
    const header = Buffer.from(JSON.stringify({ emb_params: { dtype: 'F32', shape, data_offsets: [0, 4 * 128] } }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(place(name), Buffer.concat([length, header, Buffer.alloc(4 * 128)]));
    return place(name);
  };
  const rows: readonly [what: string, write: () => string, code: string, message: RegExp][] = [
    ['a file that is not there', () => place('none.pt'), 'ERR_FILE', /none\.pt/],
    [
      'vectors of another width',
      () => file('wide.safetensors', tensor('emb_params', zeros(2, 768))),
      'ERR_MODEL_MISMATCH',
      /expected vectors of 128 values .* found 768/,
    ],
    [
      'an embedding for SDXL without a part for OpenCLIP',
      () => file('xl.safetensors', tensor('clip_l', zeros(2, 128))),
      'ERR_MODEL_MISMATCH',
      /expected 'clip_g' .* found tensors such as 'clip_l'/,
    ],
    [
      'a model',
      () => tinyModel({ architecture: tinyArchitecture }).path,
      'ERR_MODEL_UNSUPPORTED',
      /vectors of textual inversion|more than 1048576/,
    ],
    ['no tensors', () => file('empty.safetensors'), 'ERR_MODEL_UNSUPPORTED', /found no numeric tensor/],
    [
      'names that a terminal obeys',
      () => file('bell.safetensors', tensor('\x1b[2J', zeros(1, 128)), tensor('x'.repeat(200), zeros(1, 128))),
      'ERR_MODEL_UNSUPPORTED',
      /found those of 2: '\\u001b\[2J', 'x{100}\.\.\.'\. If/,
    ],
    [
      'two tensors',
      () => file('two.safetensors', tensor('a', zeros(1, 128)), tensor('b', zeros(1, 128))),
      'ERR_MODEL_UNSUPPORTED',
      /for one word, 'shiny', found those of 2: 'a', 'b'\. If it has several words, use those/,
    ],
    [
      'three axes',
      () => file('axes.safetensors', tensor('emb_params', zeros(1, 1, 128))),
      'ERR_MODEL_UNSUPPORTED',
      /a shape of \[vectors, 128\], found \[1,1,128\]/,
    ],
    [
      'a single number',
      () => file('number.safetensors', tensor('emb_params', zeros())),
      'ERR_MODEL_UNSUPPORTED',
      /a shape of/,
    ],
    [
      'more vectors than a chunk has places',
      () => file('many.safetensors', tensor('emb_params', zeros(76, 128))),
      'ERR_MODEL_UNSUPPORTED',
      /at most the 75 vectors that fit a chunk, found 76/,
    ],
    ['10^9 declared vectors', () => declared('huge.safetensors', [1e9, 128]), 'ERR_MODEL_CORRUPT', /huge\.safetensors/],
    ['10^18 declared vectors', () => declared('huger.safetensors', [1e18, 128]), 'ERR_MODEL_', /huger\.safetensors/],
    ['no vectors', () => declared('none.safetensors', [0, 128]), 'ERR_MODEL_', /none\.safetensors/],
    [
      'NaN',
      () =>
        file(
          'nan.safetensors',
          tensor('emb_params', { shape: [1, 128], values: new Float32Array(128).fill(Number.NaN) }),
        ),
      'ERR_MODEL_CORRUPT',
      /finite numbers, found NaN/,
    ],
    [
      'a pickle with a system call',
      () => {
        const command = pickled.call('posix', 'system', [pickled.text('touch owned')]);
        writeCheckpoint(place('owned.pt'), [tensor('*', three)], [['name', command]], 'string_to_param');
        return place('owned.pt');
      },
      'ERR_MODEL_UNSUPPORTED',
      /posix\.system/,
    ],
    [
      'no tensor file',
      () => {
        writeFileSync(place('text.pt'), 'no tensors at all');
        return place('text.pt');
      },
      'ERR_MODEL_',
      /text\.pt/,
    ],
  ];
  for (const [what, path, code, message] of rows) {
    it(`refuses ${what}`, async () => {
      const embeddings = [{ path: path(), token: 'shiny' }];
      await assert.rejects(generate({ embeddings }), (error: Error & { code: string }) => {
        assert.ok(error.code.startsWith(code), error.code);
        assert.match(error.message, message);
        return true;
      });
      await generate({});
    });
  }

  const wrong: readonly [what: string, options: object, code: string, message: RegExp][] = [
    ['no array', { embeddings: 'x.pt' }, 'ERR_INVALID_ARG_TYPE', /an array of at most 256/],
    ['no path', { embeddings: [{ token: 'x' }] }, 'ERR_INVALID_ARG_TYPE', /embeddings\[0\]\.path/],
    ['an unknown key', { embeddings: [{ path: 'x', word: 'x' }] }, 'ERR_UNKNOWN_OPTION', /word/],
    ['an empty word', { embeddings: [{ path: 'x', token: ' ' }] }, 'ERR_INVALID_ARG_VALUE', /embeddings\[0\]\.token/],
    ['a word that is no string', { embeddings: [{ path: 'x', token: 5 }] }, 'ERR_INVALID_ARG_TYPE', /token/],
    ['a zero byte', { embeddings: [{ path: 'x\0y' }] }, 'ERR_INVALID_ARG_VALUE', /zero byte/],
    [
      'two of one word',
      { embeddings: [{ path: 'a/x.pt' }, { path: 'b', token: 'X' }] },
      'ERR_INVALID_ARG_VALUE',
      /embeddings\[1\]\.token .*'X', which also stands for 'a\/x\.pt'/,
    ],
    ['too many', { embeddings: Array(257).fill({ path: 'x' }) }, 'ERR_INVALID_ARG_VALUE', /at most 256/],
    ['a folder that is none', { embeddingDirectory: 5 }, 'ERR_INVALID_ARG_TYPE', /embeddingDirectory/],
    ['a folder that is not there', { embeddingDirectory: place('nowhere') }, 'ERR_FILE', /nowhere/],
    ['a file in place of a folder', { embeddingDirectory: place('a.safetensors') }, 'ERR_FILE', /ENOTDIR/],
  ];
  for (const [what, options, code, message] of wrong) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(generate(options), (error: Error & { code: string }) => {
        assert.equal(error.code, code);
        assert.match(error.message, message);
        return true;
      });
    });
  }
});

test('an embedding for neither of its text encoders does not fit SDXL, nor one with uneven parts', async () => {
  await using model = await loadModel(wordModel('xl'), {
    threads: 1,
  });
  const uneven = place('uneven.safetensors');
  writeSafetensors(uneven, [tensor('clip_l', vectors('xl', '<cat-toy>')), tensor('clip_g', vectors('xl', 'Shiny', 1))]);
  const single = place('single.safetensors');
  writeSafetensors(single, [tensor('emb_params', { shape: [1, 100], values: new Float32Array(100) })]);
  for (const [path, code, message] of [
    [uneven, 'ERR_MODEL_CORRUPT', /the same number of vectors for each text encoder, found 3 and 1/],
    [single, 'ERR_MODEL_MISMATCH', /expected vectors of 64 or 128 values .* found 100/],
  ] as const) {
    const prompt = basename(path, '.safetensors');
    await assert.rejects(model.txt2img({ ...common, prompt, embeddings: [{ path }] }), { code, message });
  }
});

test('a small file is read as a whole: numbers in float32, and no more of them than asked for', async () => {
  const path = 'test/reference/embedding.pt';
  const [read, ...others] = await addon.readTensors(path, 6, never);
  assert.deepEqual(
    [read?.name, read?.shape, [...(read?.values ?? [])]],
    ['string_to_param.*', [2, 3], [0, 1, 2, 3, 4, 5]],
  );
  assert.equal(others.length, 0, 'integers are left out');
  await assert.rejects(addon.readTensors(path, 5, never), {
    code: 'ERR_MODEL_UNSUPPORTED',
    message: /more than 5 numbers/,
  });
  const flag = new addon.Cancellation();
  flag.cancel();
  await assert.rejects(addon.readTensors(path, 6, flag), { code: 'ERR_CANCELLED' });
});
