// Values of other realms, and globals that are not Node's: a DOM's (jsdom, happy-dom, Electron's renderer), vm contexts, fake timers.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import {
  canny,
  DiffusionError,
  estimateDepth,
  type ImageInput,
  inspectModel,
  loadModel,
  type Model,
  readMetadata,
  type Sampler,
} from '../lib/index.ts';
import { soundModel } from './support/bad-models.ts';
import { moduleUrl } from './support/places.ts';

const realm = createContext({});
const foreign = <T>(code: string): T => runInContext(code, realm) as T;

let model: Model;
before(async () => {
  model = await loadModel(soundModel(), { threads: 1 });
});
after(() => model.dispose());

const small = { prompt: 'x', width: 8, height: 8, steps: 1 };

/** As an environment without anything of Node's has it: no reasons, no options of listeners. */
class BareController {
  readonly #listeners = new Set<() => void>();
  readonly signal = {
    aborted: false,
    addEventListener: (_type: string, listener: () => void) => void this.#listeners.add(listener),
    removeEventListener: (_type: string, listener: () => void) => void this.#listeners.delete(listener),
  };

  abort(): void {
    this.signal.aborted = true;
    for (const listener of [...this.#listeners]) listener();
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}

test('bytes and pixels of another realm are images', async () => {
  const { images } = await model.txt2img(small);
  const png = await (images[0] as NonNullable<(typeof images)[0]>).png();
  const Bytes = foreign<Uint8ArrayConstructor>('Uint8Array');
  const inputs: Record<string, ImageInput> = {
    bytes: Bytes.from(png),
    pixels: { width: 8, height: 8, data: new Bytes(192) },
    'clamped pixels': foreign('({ width: 8, height: 8, data: new Uint8ClampedArray(192) })'),
    'words of pixels': foreign('({ width: 8, height: 8, data: new Uint16Array(64) })'),
    'floats of pixels': foreign('({ width: 8, height: 8, data: new Float32Array(64) })'),
  };
  for (const [what, image] of Object.entries(inputs)) {
    await assert.doesNotReject(model.img2img({ image, prompt: 'x', steps: 1 }), what);
    await assert.doesNotReject(canny(image), what);
  }
  assert.equal((await readMetadata(Bytes.from(png))).prompt, 'x');
});

test('lists, sets of options and latents of another realm are taken', async () => {
  await model.txt2img({ ...small, scheduler: foreign('[14.6, 0]'), loras: foreign('[]') });
  await model.txt2img({ ...small, scheduler: foreign('Float64Array.of(14.6, 0)') });
  await model.txt2img(foreign("({ prompt: 'x', width: 8, height: 8, steps: 1 })"));
  const sampler: Sampler = async (_denoise, x) => foreign<Float32ArrayConstructor>('Float32Array').from(x);
  await model.txt2img({ ...small, sampler });
});

test('values of another realm that are no options are refused', async () => {
  for (const code of ['[]', 'new Date()', 'new Map()', 'new Uint8Array(4)', 'Promise.resolve()', 'new Error()']) {
    await assert.rejects(model.txt2img(foreign(code)), {
      code: 'ERR_INVALID_ARG_TYPE',
      message: /an object for options/,
    });
  }
});

test('a signal of any kind cancels, and keeps no listener', async () => {
  const calls: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    generating: (signal) => model.txt2img({ ...small, steps: 900, signal }),
    loading: (signal) => loadModel(soundModel(), { threads: 1, signal }),
    inspecting: (signal) => inspectModel(soundModel(), { signal }),
    'estimating depth': (signal) =>
      estimateDepth({ width: 8, height: 8, data: new Uint8Array(64) }, { model: soundModel(), signal }),
  };
  for (const [what, call] of Object.entries(calls)) {
    const before = new BareController();
    before.abort();
    await assert.rejects(call(before.signal as never), { name: 'AbortError' }, what);
    const during = new BareController();
    const work = call(during.signal as never);
    during.abort();
    await assert.rejects(work, { name: 'AbortError' }, what);
    assert.equal(during.listeners, 0, what);
    const never = new BareController();
    await call(never.signal as never).catch((error: Error) => assert.ok(error instanceof DiffusionError));
    assert.equal(never.listeners, 0, what);
  }
});

test('a signal that lacks what a signal has is refused', async () => {
  const listeners = { addEventListener() {}, removeEventListener() {} };
  const throwing = Object.defineProperty({ ...listeners }, 'aborted', {
    get() {
      throw new Error('no');
    },
  });
  for (const signal of [{}, { aborted: false }, { aborted: 'no', ...listeners }, throwing, 7, null]) {
    await assert.rejects(model.txt2img({ ...small, signal: signal as never }), {
      code: 'ERR_INVALID_ARG_TYPE',
      message: /an AbortSignal for signal/,
    });
  }
});

/** Globals as a DOM brings them. */
const DOM = `
  class Signal {
    aborted = false; reason = undefined; listeners = new Set();
    addEventListener(type, listener) { this.listeners.add(listener); }
    removeEventListener(type, listener) { this.listeners.delete(listener); }
  }
  globalThis.AbortSignal = Signal;
  globalThis.AbortController = class {
    signal = new Signal();
    abort() { this.signal.aborted = true; for (const listener of [...this.signal.listeners]) listener({ type: 'abort' }); }
  };
  globalThis.Event = globalThis.EventTarget = class {};
  for (const name of ['Uint8Array', 'Uint8ClampedArray', 'Uint16Array', 'Float32Array', 'ArrayBuffer']) globalThis[name] = runInNewContext(name);
`;
/** As Jest's and Sinon's fake timers: nothing happens until the test says so. */
const TIMERS = `
  for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask']) globalThis[name] = () => 0;
  globalThis.performance = { now: () => 0 };
  globalThis.Date = class { static now() { return 0; } };
`;
const SCRIPT = `
  const { loadModel, readMetadata, canny } = await import(${JSON.stringify(moduleUrl('lib/index.ts'))});
  AFTER
  const model = await loadModel(${JSON.stringify(soundModel())}, { threads: 1 });
  const first = await model.txt2img({ prompt: 'x', width: 8, height: 8, steps: 1 });
  const png = await first.images[0].png();
  const { images } = await model.img2img({ prompt: 'y', image: png, steps: 1 });
  await canny(images[0]);
  const ended = model.txt2img({ prompt: 'x', width: 8, height: 8, steps: 900 }).catch(({ code }) => console.log(code));
  await model.dispose();
  await ended;
  console.log((await readMetadata(await images[0].png())).prompt);
`;

const ENVIRONMENTS: Record<string, [before: string, after: string]> = {
  'a DOM': [DOM, ''],
  'a DOM that comes later': ['', DOM],
  'fake timers': [TIMERS, ''],
  'fake timers that come later': ['', TIMERS],
};

for (const [what, [before, after]] of Object.entries(ENVIRONMENTS)) {
  test(`images are generated, read and written with the globals of ${what}`, async () => {
    const script = `import { runInNewContext } from 'node:vm'; ${before} ${SCRIPT.replace('AFTER', after)}`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    assert.equal(out, 'ERR_DISPOSED\ny\n', err);
  });
}
