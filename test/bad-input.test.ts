// Bad input through the API: each gives a typed error that says what to do, before any work, and the process lives on.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  EMBEDDED_MODEL,
  inspectModel,
  listDevices,
  loadModel,
  type Model,
  SAMPLERS,
  type Txt2ImgOptions,
} from '../lib/index.ts';
import { BAD_MODELS, nanModel, soundModel } from './support/bad-models.ts';
import { tinyModel } from './support/tiny-model.ts';

let model: Model;
before(async () => {
  model = await loadModel(soundModel(), { threads: 1 });
});
after(() => model.dispose());

for (const { name, write, code, message } of BAD_MODELS) {
  test(`a model file with ${name} is refused`, async () => {
    await assert.rejects(loadModel(write()), { name: 'DiffusionError', code, message });
  });
}

test('inspecting a bad file gives a typed error or says what is wrong with it', async () => {
  for (const { name, write, code } of BAD_MODELS) {
    const result = await inspectModel(write()).catch((error: unknown) => error as { name: string; code: string });
    if ('code' in result) assert.deepEqual([result.name, result.code], ['DiffusionError', code], name);
    else
      assert.ok(
        !result.family || [result.missing, result.mismatched, result.unused].some(({ length }) => length > 0),
        name,
      );
  }
});

test('a model whose text encoder is for another tokenizer is refused', async () => {
  await assert.rejects(loadModel(tinyModel({ vocabulary: 1000 }).path), {
    name: 'DiffusionError',
    code: 'ERR_MODEL_UNSUPPORTED',
    message:
      /77 positions \(LongCLIP: 248\) and at least 49408 tokens but the model has one with 77 positions and 1000 tokens/,
  });
});

test('an image of a model with NaN in its weights is refused', async () => {
  await using broken = await loadModel(nanModel(), { threads: 1 });
  await assert.rejects(broken.txt2img({ prompt: 'x', width: 64, height: 64, steps: 1 }), {
    name: 'DiffusionError',
    code: 'ERR_NON_FINITE',
    message: /text encoder/,
  });
});

type Row = readonly [what: string, options: object, code: string, message: RegExp];
const VALUE = 'ERR_INVALID_ARG_VALUE';
const TYPE = 'ERR_INVALID_ARG_TYPE';
const BAD_OPTIONS: readonly Row[] = [
  ['no prompt', {}, TYPE, /a string for prompt/],
  ['a prompt that is no string', { prompt: 7 }, TYPE, /a string for prompt but received 7/],
  [
    'a prompt of 1 MB',
    { prompt: 'x'.repeat(2 ** 20) },
    VALUE,
    /at most 65536 characters for prompt.*1048576 characters/,
  ],
  [
    'a prompt of 5000 words',
    { prompt: 'cat '.repeat(5000) },
    VALUE,
    /at most 64 chunks of 75 tokens for prompt but received 67/,
  ],
  ['a malformed weight', { prompt: '(cat:1.2.3)' }, VALUE, /attention weight for prompt/],
  ['a null negative prompt', { negativePrompt: null }, TYPE, /a string for negativePrompt but received null/],
  ['a width of 0', { width: 0 }, VALUE, /from 8 to 16384 for width but received 0/],
  ['a width of 100', { width: 100 }, VALUE, /multiple of 8 for width but received 100\. The nearest are 96 and 104/],
  ['a width of 1e9', { width: 1e9 }, VALUE, /from 8 to 16384 for width but received 1000000000/],
  ['a width that is NaN', { width: Number.NaN }, VALUE, /for width but received NaN/],
  ['a height of half a pixel', { height: 64.5 }, VALUE, /an integer .* for height/],
  ['a height that a terminal obeys', { height: '\x1b[2J\n\u202e' }, TYPE, /received '\\u001b\[2J\\u000a\\u202e'$/],
  ['a height as text', { height: '64' }, TYPE, /an integer .* for height but received '64'/],
  ['too many pixels', { width: 16384, height: 16384 }, VALUE, /at most 67108864 pixels/],
  ['no steps', { steps: 0 }, VALUE, /from 1 to 1000 for steps but received 0/],
  ['too many steps', { steps: 1001 }, VALUE, /for steps/],
  [
    'a guidance scale of NaN',
    { cfgScale: Number.NaN },
    VALUE,
    /a finite number of at least 0 for cfgScale but received NaN/,
  ],
  ['an endless guidance scale', { cfgScale: Number.POSITIVE_INFINITY }, VALUE, /for cfgScale but received Infinity/],
  ['a negative guidance scale', { cfgScale: -1 }, VALUE, /for cfgScale/],
  ['a misspelled sampler', { sampler: 'eulr' }, VALUE, /one of euler, euler_a, .*'eulr'\. Did you mean 'euler'\?/],
  ['a sampler that is a number', { sampler: 1 }, TYPE, /for sampler/],
  ['a name of Object', { sampler: 'constructor' }, VALUE, /for sampler/],
  ['a misspelled schedule', { scheduler: 'kerras' }, VALUE, /Did you mean 'karras'\?/],
  ['rising sigmas', { scheduler: [1, 2, 0] }, VALUE, /for scheduler/],
  ['sigmas that end above 0', { scheduler: [2, 1] }, VALUE, /for scheduler/],
  ['sigmas beside another number of steps', { scheduler: [2, 1, 0], steps: 5 }, VALUE, /for steps/],
  ['a seed below -1', { seed: -2 }, VALUE, /for seed/],
  ['a seed of half', { seed: 0.5 }, VALUE, /for seed/],
  ['a seed beyond 2^53', { seed: 2 ** 53 }, VALUE, /for seed but received \d+\. From 2\^53 on it is exact as a bigint/],
  ['a bigint seed below -1', { seed: -2n }, VALUE, /for seed but received -2n/],
  ['a seed of 65 bits', { seed: 2n ** 64n }, VALUE, /from 0 to 2\^64 - 1 for seed/],
  ['a seed that counts beyond 64 bits', { seed: 2n ** 64n - 1n, batchSize: 2 }, VALUE, /2\^64 - 2, .* for seed/],
  ['a seed that is a text', { seed: '7' }, TYPE, /for seed/],
  [
    'a sampler that is not here',
    { sampler: 'UniPC' },
    VALUE,
    /'UniPC'\. This sampler is not supported; .* 'dpm\+\+2m'/,
  ],
  ['a schedule that is not here', { scheduler: 'ddim_uniform' }, VALUE, /scheduler is not supported; .* 'discrete'/],
  [
    'two schedules',
    { sampler: 'DPM++ 2M Karras', scheduler: 'exponential' },
    VALUE,
    /karras, which the sampler 'DPM\+\+ 2M Karras' says, for scheduler .*Or give 'dpm\+\+2m' as sampler/,
  ],
  ['a schedule and levels', { sampler: 'DPM++ 2M Karras', scheduler: [1, 0] }, VALUE, /for scheduler/],
  ['a clip skip beyond the layers', { clipSkip: 3 }, VALUE, /from 1 to 2 for clipSkip but received 3/],
  ['a clip skip of 0', { clipSkip: 0 }, VALUE, /for clipSkip/],
  ['an empty batch', { batchSize: 0 }, VALUE, /for batchSize/],
  ['an eta above 1', { eta: 2 }, VALUE, /for eta/],
  ['an unknown generator', { rng: 'gpu' }, VALUE, /one of cuda, cpu for rng/],
  ['a preview of no kind', { preview: 'yes' }, VALUE, /one of proj, tae, vae for preview/],
  ['a preview that is a number', { preview: 1 }, TYPE, /true or false for preview/],
  ['a callback that is none', { onStep: 7 }, TYPE, /a function for onStep/],
  ['a signal that is none', { signal: {} }, TYPE, /an AbortSignal for signal/],
  ['a misspelled option', { stepz: 5 }, 'ERR_UNKNOWN_OPTION', /for stepz.*Did you mean 'steps'\?/],
  ['an option of another library', { num_inference_steps: 5 }, 'ERR_UNKNOWN_OPTION', /for num_inference_steps/],
];

for (const [what, options, code, message] of BAD_OPTIONS) {
  test(`a call with ${what} is refused`, async () => {
    const started: unknown[] = [];
    const given = {
      ...(code === TYPE && 'prompt' in options ? {} : { prompt: 'x' }),
      onStep: (step: unknown) => void started.push(step),
      ...options,
    };
    if (what === 'no prompt') delete (given as Partial<Txt2ImgOptions>).prompt;
    const name = code === VALUE ? 'RangeError' : 'TypeError';
    await assert.rejects(model.txt2img(given as Txt2ImgOptions), { name, code, message });
    assert.deepEqual(started, []);
  });
}

test('all problems of a call are reported in one error', async () => {
  const options = { prompt: 7, width: 100, steps: 0, sampler: 'x', foo: 1 } as never;
  await assert.rejects(model.txt2img(options), (error: Error & { problems: { name: string }[] }) => {
    assert.deepEqual(error.problems.map(({ name }) => name).sort(), ['foo', 'prompt', 'sampler', 'steps', 'width']);
    for (const { name } of error.problems) assert.ok(error.message.includes(name));
    return error instanceof TypeError;
  });
  for (const options of [undefined, null, 7, 'x', []]) {
    await assert.rejects(model.txt2img(options as never), { name: 'TypeError', code: TYPE });
  }
});

const BAD_LOADS: readonly (readonly [
  what: string,
  source: unknown,
  options: unknown,
  code: string,
  message: RegExp,
])[] = [
  ['a source that is a number', 7, {}, TYPE, /a path or an object for source but received 7/],
  ['a URL', new URL('file:///a.gguf'), {}, TYPE, /a path or an object for source but received a URL/],
  ['bytes', Buffer.from('a.gguf'), {}, TYPE, /a path or an object for source but received a Buffer/],
  ['an empty path', '', {}, VALUE, /a path of 1 to 4096 characters for model/],
  ['a path with a zero byte', 'a\0b', {}, VALUE, /zero byte/],
  ['no path at all', {}, {}, VALUE, /the path of a model/],
  ['an unknown part', { modle: 'x' }, {}, 'ERR_UNKNOWN_OPTION', /Did you mean 'model'\?/],
  ['a part that is no path', { vae: 7 }, {}, TYPE, /a path for vae but received 7/],
  ['an unknown device', EMBEDDED_MODEL, { device: 'cpx' }, VALUE, /Did you mean 'cpu'\?/],
  ['0 threads', EMBEDDED_MODEL, { threads: 0 }, VALUE, /from 1 to 512 for threads/],
  ['an unknown precision', EMBEDDED_MODEL, { precision: 'f16' }, VALUE, /one of auto, f32, bf16/],
  ['an unknown prediction', EMBEDDED_MODEL, { prediction: 'x0' }, VALUE, /one of epsilon, v/],
  ['a logger that is a function', EMBEDDED_MODEL, { logger: () => {} }, TYPE, /an object for logger/],
  ['an unknown option', EMBEDDED_MODEL, { thread: 1 }, 'ERR_UNKNOWN_OPTION', /Did you mean 'threads'\?/],
];

for (const [what, source, options, code, message] of BAD_LOADS) {
  test(`loading with ${what} is refused`, async () => {
    await assert.rejects(loadModel(source as string, options as object), { code, message });
  });
}

test('an aborted signal ends every call with its reason', async () => {
  const signal = AbortSignal.abort(new Error('mine'));
  await assert.rejects(loadModel(EMBEDDED_MODEL, { signal }), { message: 'mine' });
  await assert.rejects(inspectModel(EMBEDDED_MODEL, { signal }), { message: 'mine' });
  await assert.rejects(model.txt2img({ prompt: 'x', signal }), { message: 'mine' });
});

test('a disposed model refuses further calls', async () => {
  const disposed = await loadModel(soundModel());
  await disposed.dispose();
  await assert.rejects(disposed.txt2img({ prompt: 'x' }), { name: 'DiffusionError', code: 'ERR_DISPOSED' });
});

test('an image for a folder that does not exist is refused', async () => {
  const { images } = await model.txt2img({ prompt: 'x', width: 32, height: 32, steps: 1 });
  await assert.rejects((images[0] as (typeof images)[0]).save('/no/such/folder/a.png'), {
    code: 'ERR_WRITE',
    message: /\/no\/such\/folder/,
  });
});

test('a sampler of the user that misbehaves gives a typed error', async () => {
  const call = (sampler: unknown) =>
    model.txt2img({ prompt: 'x', width: 32, height: 32, steps: 2, sampler: sampler as never });
  await assert.rejects(
    call(async () => [1]),
    { code: TYPE, message: /the result of sampler/ },
  );
  await assert.rejects(
    call(async () => new Float32Array(3)),
    { code: VALUE, message: /the result of sampler/ },
  );
  await assert.rejects(
    call(async (_: unknown, x: Float32Array) => x.map(() => Number.NaN)),
    { code: 'ERR_NON_FINITE' },
  );
  await assert.rejects(call(() => { throw new Error('mine'); }), { message: 'mine' }); // biome-ignore format: one row
  await assert.rejects(
    call(async (denoise: (x: Float32Array, sigma: number) => unknown) => denoise(new Float32Array(3), 1)),
    { code: VALUE },
  );
  for (const sigma of [Number.NaN, 0, -1, Number.POSITIVE_INFINITY]) {
    await assert.rejects(
      call(async (denoise: (x: Float32Array, sigma: number) => unknown, x: Float32Array) => denoise(x, sigma)),
      { code: VALUE, message: /a finite number above 0 for the sigma given to the denoiser/ },
    );
  }
  for (const step of [undefined, {}, { index: 0, total: 2, sigma: 1, latent: new Float32Array(64) }]) {
    const report = async (_: unknown, x: Float32Array, __: unknown, { onStep }: { onStep(s: unknown): unknown }) => {
      await onStep(step);
      return x;
    };
    await assert.rejects(call(report), { code: TYPE, message: /latent of a step of sampler/ });
  }
});

test('the process is still sound after all this', async () => {
  assert.ok(listDevices().length > 0);
  assert.ok(Object.keys(SAMPLERS).length >= 14);
  const { images } = await model.txt2img({ prompt: 'x', width: 32, height: 32, steps: 1 });
  assert.equal(images[0]?.data.length, 32 * 32 * 3);
});
