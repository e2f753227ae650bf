// Whatever JavaScript passes to the native side is refused with a coded error, never with a crash.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { NativeModel } from '../../lib/native/contract.ts';
import { addon, encodeText, never, openTiny, tiny } from '../support/addon.ts';

// biome-ignore lint/suspicious/noExplicitAny: the point is to pass what the types forbid
type Anything = any;

const wrongType = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
const wrongValue = { name: 'RangeError', code: 'ERR_INVALID_ARG_VALUE' };

let model: NativeModel;
before(async () => {
  model = await openTiny();
});
after(() => model.dispose());

const options = { device: 'cpu', threads: 1, cancellation: never };
const path = tiny.path;
const latent = new Float32Array(256);
const shape = [1, 4, 8, 8];
const time = new Float32Array([500]);
const context = new Float32Array(77 * 64);
const condition = { context, contextTokens: 77 };
const tokens = new Int32Array(77);

function detached(): Float32Array {
  const array = new Float32Array(256);
  structuredClone(array, { transfer: [array.buffer] });
  return array;
}

const impostor = (): object => Object.create(addon.Cancellation.prototype);
const disguised = (): object => Object.setPrototypeOf({}, addon.Cancellation.prototype);

const sources: [name: string, source: Anything, error: object][] = [
  ['nothing', undefined, wrongType],
  ['null', null, wrongType],
  ['a string', path, wrongType],
  ['no path', {}, wrongValue],
  ['an empty path', { model: '' }, wrongValue],
  ['a number for a path', { model: 1 }, wrongType],
  ['null for a path', { model: path, vae: null }, wrongType],
  ['a symbol for a path', { textEncoder: Symbol('x') }, wrongType],
  ['a zero character in a path', { model: `${path}\0.txt` }, wrongValue],
  ['a lone surrogate in a path', { model: '\ud800' }, { code: 'ERR_FILE' }],
  ['a path of a million characters', { model: 'x'.repeat(1e6) }, { code: 'ERR_FILE' }],
  ['a missing file', { model: `${path}.missing` }, { code: 'ERR_FILE' }],
];

for (const [name, source, error] of sources) {
  test(`open and inspect refuse ${name}`, async () => {
    await assert.rejects(addon.open(source, options), error);
    await assert.rejects(addon.inspect(source, never), error);
  });
}

const openOptions: [name: string, options: Anything, error: object][] = [
  ['no options', undefined, wrongType],
  ['a function', () => {}, wrongType],
  ['no device', { ...options, device: undefined }, wrongType],
  ['an unknown device', { ...options, device: 'abacus' }, { code: 'ERR_DEVICE' }],
  ['a string of threads', { ...options, threads: '2' }, wrongType],
  ['a bigint of threads', { ...options, threads: 2n }, wrongType],
  ['no thread', { ...options, threads: 0 }, wrongValue],
  ['half a thread', { ...options, threads: 1.5 }, wrongValue],
  ['NaN threads', { ...options, threads: Number.NaN }, wrongValue],
  ['infinite threads', { ...options, threads: Number.POSITIVE_INFINITY }, wrongValue],
  ['more threads than ggml has', { ...options, threads: 513 }, wrongValue],
  ['an unknown precision', { ...options, precision: 'f16' }, wrongValue],
  ['a number for the precision', { ...options, precision: 16 }, wrongType],
  ['no cancellation', { ...options, cancellation: undefined }, wrongType],
  ['a listener that cannot be called', { ...options, onProgress: {} }, wrongType],
  ['null for a listener', { ...options, onLog: null }, wrongType],
];

for (const [name, given, error] of openOptions) {
  test(`open refuses ${name}`, () => assert.rejects(addon.open({ model: path }, given), error));
}

test('what a getter of an argument throws rejects the promise', async () => {
  const thrown = new Error('no');
  const source = {
    get model(): string {
      throw thrown;
    },
  };
  await assert.rejects(addon.open(source, options), thrown);
});

const notCancellations: [name: string, value: Anything][] = [
  ['undefined', undefined],
  ['an object', {}],
  ['an AbortSignal', new AbortController().signal],
  ['an object with the prototype', impostor()],
  ['an object with the prototype set', disguised()],
  ['a proxy', new Proxy(never, {})],
];

for (const [name, value] of notCancellations) {
  test(`${name} is not a cancellation`, async () => {
    await assert.rejects(addon.inspect({ model: path }, value), wrongType);
    await assert.rejects(encodeText(model, value ?? (null as Anything)), wrongType);
  });
}

test('a model is not a cancellation, whatever its prototype', async () => {
  const other = await openTiny();
  await assert.rejects(encodeText(model, other as Anything), wrongType);
  Object.setPrototypeOf(other, addon.Cancellation.prototype);
  await assert.rejects(encodeText(model, other as Anything), wrongType);
  assert.throws(() => (other as Anything).cancel(), TypeError);
});

const calls: [name: string, call: (model: Anything) => Promise<unknown>, error: object][] = [
  ['encodeText of nothing', (m) => m.encodeText(), wrongType],
  ['encodeText by an encoder that is not there', (m) => m.encodeText(1, tokens, 1, never), wrongValue],
  ['encodeText of an array', (m) => m.encodeText(0, Array.from(tokens), 1, never), wrongType],
  ['encodeText of unsigned tokens', (m) => m.encodeText(0, new Uint32Array(77), 1, never), wrongType],
  ['encodeText of no token', (m) => m.encodeText(0, new Int32Array(0), 1, never), wrongValue],
  ['encodeText of 78 tokens', (m) => m.encodeText(0, new Int32Array(78), 1, never), wrongValue],
  ['encodeText of a token past the vocabulary', (m) => m.encodeText(0, tokens.with(3, 1000), 1, never), wrongValue],
  ['encodeText of a negative token', (m) => m.encodeText(0, tokens.with(3, -1), 1, never), wrongValue],
  ['a clip skip of 0', (m) => m.encodeText(0, tokens, 0, never), wrongValue],
  ['a clip skip past the layers', (m) => m.encodeText(0, tokens, 3, never), wrongValue],
  ['a clip skip of NaN', (m) => m.encodeText(0, tokens, Number.NaN, never), wrongValue],
  ['no clip skip', (m) => m.encodeText(0, tokens, undefined, never), wrongType],
  ['a latent in double precision', (m) => m.decode(new Float64Array(256), shape, never), wrongType],
  ['a latent as bytes', (m) => m.decode(new DataView(latent.buffer), shape, never), wrongType],
  ['a detached latent', (m) => m.decode(detached(), shape, never), wrongValue],
  ['no shape', (m) => m.decode(latent, undefined, never), wrongType],
  ['a shape of 3 sizes', (m) => m.decode(latent, [4, 8, 8], never), wrongValue],
  ['a shape of a milliard sizes', (m) => m.decode(latent, new Array(1e9), never), wrongValue],
  ['a shape with a hole', (m) => m.decode(latent, new Array(4), never), wrongType],
  ['a shape of strings', (m) => m.decode(latent, ['1', '4', '8', '8'], never), wrongType],
  ['a shape of another product', (m) => m.decode(latent, [1, 4, 8, 9], never), wrongValue],
  ['a shape with a zero', (m) => m.decode(new Float32Array(0), [0, 4, 8, 8], never), wrongValue],
  ['a negative shape', (m) => m.decode(latent, [1, 4, -8, -8], never), wrongValue],
  ['a shape that overflows', (m) => m.decode(latent, [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1, 1], never), wrongValue],
  ['a shape past 32 bits', (m) => m.decode(latent, [2 ** 32 + 1, 4, 8, 8], never), wrongValue],
  ['three latent channels', (m) => m.decode(new Float32Array(192), [1, 3, 8, 8], never), wrongValue],
  ['an image of four channels', (m) => m.encode(latent, shape, never), wrongValue],
  ['an image that is no multiple of 8', (m) => m.encode(new Float32Array(243), [1, 3, 9, 9], never), wrongValue],
  ['two timesteps', (m) => m.predict(latent, shape, new Float32Array(2), condition, never), wrongValue],
  ['a number for timesteps', (m) => m.predict(latent, shape, 500, condition, never), wrongType],
  [
    'a short context',
    (m) => m.predict(latent, shape, time, { ...condition, context: context.subarray(1) }, never),
    wrongValue,
  ],
  ['no context token', (m) => m.predict(latent, shape, time, { ...condition, contextTokens: 0 }, never), wrongValue],
  [
    '2^53 context tokens',
    (m) => m.predict(latent, shape, time, { ...condition, contextTokens: 2 ** 53 }, never),
    wrongValue,
  ],
  ['no condition', (m) => m.predict(latent, shape, time, undefined, never), wrongType],
  ['a condition without context', (m) => m.predict(latent, shape, time, { contextTokens: 77 }, never), wrongType],
  [
    'a vector for a UNet that takes none',
    (m) => m.predict(latent, shape, time, { ...condition, vector: context }, never),
    wrongValue,
  ],
  ['an array for guidance', (m) => m.predict(latent, shape, time, { ...condition, guidance: [1] }, never), wrongType],
  ['no cancellation', (m) => m.predict(latent, shape, time, condition), wrongType],
];

for (const [name, call, error] of calls) {
  test(`a call refuses ${name.replace(/^encodeText of/, 'to encode')}`, () => assert.rejects(call(model), error));
}

test('a getter that detaches an array cannot spoil what was read before', async () => {
  const array = new Float32Array(256).fill(0.5);
  const expected = await model.decode(array, [1, 4, 8, 8], never);
  const spoiling: Anything = [1, 4, 8];
  Object.defineProperty(spoiling, 3, { get: () => structuredClone(array, { transfer: [array.buffer] }) && 8 });
  assert.deepEqual(await model.decode(array, spoiling, never), expected);
  assert.equal(array.length, 0);
});

test('a getter that disposes the model ends the call', async () => {
  const other = await openTiny();
  const spoiling: Anything = [1, 4, 8];
  Object.defineProperty(spoiling, 3, {
    get: () => {
      other.dispose();
      return 8;
    },
  });
  await assert.rejects(other.decode(latent, spoiling, never), { code: 'ERR_DISPOSED' });
});

test('an array over shared memory is taken as any other', async () => {
  const shared = new Float32Array(new SharedArrayBuffer(1024)).fill(0.5);
  assert.deepEqual(
    await model.decode(shared, [1, 4, 8, 8], never),
    await model.decode(shared.slice(), [1, 4, 8, 8], never),
  );
});

test('classes refuse wrong receivers and constructors', async () => {
  assert.throws(() => Reflect.construct(model.constructor, []), wrongType);
  assert.throws(() => (addon.Cancellation as Anything)(), TypeError);
  assert.throws(() => never.cancel.call(model as Anything), TypeError);
  assert.throws(() => model.dispose.call(never as Anything), TypeError);
  assert.throws(() => model.encodeText.call(Object.create(model) as Anything, 0, tokens, 1, never), TypeError);
});

test('after all that the model still answers', async () => {
  assert.equal((await encodeText(model)).hidden.length, 77 * 64);
});
