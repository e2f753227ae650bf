// Arguments that are built to take the process: endless, lying, throwing, cyclic, enormous. Each gives a typed error at once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  canny,
  estimateDepth,
  inspectModel,
  loadDepthEstimator,
  loadModel,
  loadUpscaler,
  type Model,
  readMetadata,
  SCHEDULERS,
  SigmaTable,
  stableDiffusionTable,
} from '../lib/index.ts';
import { soundModel } from './support/bad-models.ts';
import { bestBelow, longestBlock } from './support/event-loop.ts';

let model: Model;
before(async () => {
  model = await loadModel(soundModel(), { threads: 1 });
});
after(() => model.dispose());

const fail = () => {
  throw new Error('a trap');
};
const revoked = (target: object): unknown => {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
};
const cyclic: unknown[] = [];
cyclic.push(cyclic, { cyclic });
const VALUES: Readonly<Record<string, unknown>> = {
  'an array of a billion': new Array(1e9),
  'the longest array': Object.assign([], { length: 2 ** 32 - 1 }),
  'an array of a million objects': new Array(1e6).fill({ path: 'x' }),
  'ten million numbers': new Float64Array(1e7),
  'an object of many keys': Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`key ${i}`, i])),
  'an object with a key of ten million characters': { ['x'.repeat(1e7)]: 1 },
  'an array that holds itself': cyclic,
  'an object whose every trap throws': new Proxy({}, { get: fail, has: fail, ownKeys: fail, getPrototypeOf: fail }),
  'an array whose every trap throws': new Proxy([1], { get: fail, has: fail, ownKeys: fail }),
  'an array whose entries throw': Object.defineProperty([], 0, { get: fail }),
  'a revoked object': revoked({}),
  'a revoked array': revoked([]),
  'an array that goes on for ever': Object.defineProperty([1], Symbol.iterator, {
    *value() {
      for (;;) yield 1;
    },
  }),
  'an array that says each time that it is longer': (() => {
    let asked = 0;
    return new Proxy([], { get: (_target, key) => (key === 'length' ? asked++ * 1e6 : undefined) });
  })(),
  'an object that cannot be named': Object.create(null, {
    constructor: { get: fail },
    [Symbol.toStringTag]: { get: fail },
    toString: { get: fail },
  }),
  'a hundred million characters': 'x'.repeat(1e8),
  'a number of a million digits': 2n ** 3_000_000n,
  'a symbol of ten million characters': Symbol('x'.repeat(1e7)),
  'a function of a long name': Object.defineProperty(() => {}, 'name', { value: 'x'.repeat(1e7) }),
};

const small = { prompt: 'x', width: 8, height: 8, steps: 1 };
const image = { width: 8, height: 8, data: new Uint8Array(64) };
const OPTIONS = [
  ...['prompt', 'negativePrompt', 'loras', 'controls', 'loraDirectory', 'embeddings', 'embeddingDirectory', 'steps'],
  ...[
    'cfgScale',
    'guidanceInterval',
    'seed',
    'sampler',
    'scheduler',
    'eta',
    'batchSize',
    'originalSize',
    'cropTopLeft',
  ],
  ...['rng', 'tileable', 'signal', 'onStep', 'preview', 'width', 'hires', 'maxPixels'],
];
const CALLS: Readonly<Record<string, (value: never) => unknown>> = {
  ...Object.fromEntries(
    OPTIONS.map((name) => [`${name} of a call`, (value) => model.txt2img({ ...small, [name]: value })]),
  ),
  'options of a call': (value) => model.txt2img(value),
  'an image': (value) => model.img2img({ ...small, image: value }),
  'a mask': (value) => model.inpaint({ ...small, image, mask: value }),
  depth: (value) => model.depth2img({ ...small, image, depth: value }),
  'the width of an image': (value) => canny({ ...image, width: value }),
  'the data of an image': (value) => canny({ ...image, data: value }),
  'a LoRA': (value) => model.txt2img({ ...small, loras: [value] }),
  'the path of a LoRA': (value) => model.txt2img({ ...small, loras: [{ path: value }] }),
  'an embedding': (value) => model.txt2img({ ...small, embeddings: [value] }),
  'the word of an embedding': (value) => model.txt2img({ ...small, embeddings: [{ path: 'x', token: value }] }),
  'a control': (value) => model.txt2img({ ...small, controls: [value] }),
  'the image of a control': (value) => model.txt2img({ ...small, controls: [{ model: 'x', image: value }] }),
  'an upscaler of a second pass': (value) => model.txt2img({ ...small, hires: { upscaler: value } }),
  'a source of a model': (value) => loadModel(value),
  'options of a model': (value) => loadModel(soundModel(), value),
  'a source to inspect': (value) => inspectModel(value),
  'options of inspecting': (value) => inspectModel(soundModel(), value),
  'an image to read': (value) => readMetadata(value),
  'an image to find edges in': (value) => canny(value),
  'options of edges': (value) => canny(image, value),
  'an image to estimate': (value) => estimateDepth(value, { model: 'x' }),
  'options of estimating': (value) => estimateDepth(image, value),
  'an upscaler': (value) => loadUpscaler(value),
  'a depth network': (value) => loadDepthEstimator(value),
  'steps of a schedule': (value) => SCHEDULERS.karras(value, stableDiffusionTable()),
  'the table of a schedule': (value) => SCHEDULERS.karras(3, value),
  'a table of alphas': (value) => new SigmaTable(value),
  'a timestep': (value) => stableDiffusionTable().sigmaAt(value),
  'a noise level': (value) => stableDiffusionTable().timestepAt(value),
  'a latent of a sampler': (value) => model.txt2img({ ...small, sampler: (denoise) => denoise(value, 1) }),
};

/** What a call says of a value that it may well take, such as a function as a callback. */
async function outcome(call: (value: never) => unknown, value: unknown): Promise<unknown> {
  try {
    const result = await call(value as never);
    await (result as Partial<AsyncDisposable> | undefined)?.[Symbol.asyncDispose]?.();
    return undefined;
  } catch (error) {
    return error;
  }
}

for (const [what, value] of Object.entries(VALUES)) {
  test(`${what} is not a valid argument, and is reported briefly without reading all of it`, async () => {
    for (const [name, call] of Object.entries(CALLS)) {
      // What a user's own callback throws is its own.
      if (typeof value === 'function' && /onStep|sampler/.test(name)) continue;
      let error: unknown;
      const block = await bestBelow(50, () => longestBlock(outcome(call, value).then((result) => (error = result))));
      assert.ok(block < 50, `${name}: blocked for ${block} ms`);
      if (error === undefined) continue;
      const { name: kind, code, message } = error as { name: string; code?: string; message: string };
      assert.ok(['TypeError', 'RangeError', 'DiffusionError'].includes(kind) && code, `${name}: ${kind} ${message}`);
      assert.ok(message.length < 5000, `${name}: a message of ${message.length} characters`);
    }
  });
}

test('a list that is too long is refused by its length alone', async () => {
  for (const name of ['loras', 'controls', 'embeddings', 'scheduler', 'guidanceInterval']) {
    const asked = new Set<PropertyKey>();
    const list = new Proxy(new Array(1e9), {
      get(target, key) {
        asked.add(key);
        return Reflect.get(target, key);
      },
    });
    await assert.rejects(model.txt2img({ ...small, [name]: list }), {
      name: 'RangeError',
      code: 'ERR_INVALID_ARG_VALUE',
    });
    assert.deepEqual([...asked], ['length'], name);
  }
});

test('each option is read once', async () => {
  const read: string[] = [];
  const options = new Proxy({ ...small, scheduler: 'karras' } as never, {
    get(target, key) {
      read.push(String(key));
      return Reflect.get(target, key);
    },
  });
  await model.txt2img(options);
  assert.deepEqual(
    read.filter((key, i) => read.indexOf(key) < i && !key.startsWith('Symbol')),
    [],
  );
});

test('of many unknown options or problems only some are reported', async () => {
  const unknown = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`option${i}`, 1]));
  await assert.rejects(model.txt2img({ ...small, ...unknown }), (error: { problems: unknown[]; message: string }) => {
    assert.equal(error.problems.length, 8);
    return error.message.startsWith('8 problems:');
  });
  const embeddings = Array.from({ length: 100 }, () => ({ path: 7 as never }));
  await assert.rejects(model.txt2img({ ...small, embeddings }), {
    message: /^200 problems:\n(.*\n)*- and 168 more, which are in `problems`$/,
  });
});

const marks = Array.from({ length: 0x300 }, (_, i) => String.fromCodePoint(0x300 + i)).filter((one) =>
  /\p{M}/u.test(one),
);
/** Prompts of the greatest length. */
const PROMPTS: Readonly<Record<string, string>> = {
  'two marks in turn': '\u0301\u0316'.repeat(32_768),
  'all marks in turn': marks.join('').repeat(65_536 / marks.length),
  'runs of marks': `a${'\u0316\u0301'.repeat(450)}`.repeat(72),
  'one mark': `a${'\u0301'.repeat(65_535)}`,
  'one word': 'a'.repeat(65_536),
  'one word of another script': '字'.repeat(65_536),
  'brackets in brackets': `${'('.repeat(255)}${'a:'.repeat(32_000)}${')'.repeat(255)}`,
  'brackets beside brackets': `${'('.repeat(200)}${'(a)b'.repeat(16_000)}`,
  'brackets that are never closed': '['.repeat(65_536),
  'texts that take turns': '[a|b]'.repeat(13_107),
  'texts that change': '[a:b:3]'.repeat(9362),
  'a long text in turns': `[a|b|${'c '.repeat(32_000)}]`,
  LoRAs: '<lora:a:1>'.repeat(6553),
  breaks: 'BREAK '.repeat(10_922),
  'white space': `:${' '.repeat(65_534)}x`,
  digits: '1'.repeat(65_536),
  'letters that become two words each': 'İ'.repeat(65_536),
};

for (const [what, prompt] of Object.entries(PROMPTS)) {
  test(`a prompt of ${what} does not hold up the event loop`, async () => {
    for (const options of [{ prompt }, { negativePrompt: prompt, steps: 1000 }]) {
      const signal = AbortSignal.timeout(1000);
      const call = () => model.txt2img({ ...small, ...options, signal }).catch(() => undefined);
      const block = await bestBelow(50, () => longestBlock(call()));
      assert.ok(block < 50, `blocked for ${block} ms`);
    }
  });
}
