// Whatever JavaScript passes to the native side is refused with a coded error, never with a crash.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { addon, encodeText, never, openTiny, tiny } from '../support/addon.ts';
import type { TestModel } from '../support/networks.ts';

// biome-ignore lint/suspicious/noExplicitAny: the point is to pass what the types forbid
type Anything = any;

const wrongType = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
const wrongValue = { name: 'RangeError', code: 'ERR_INVALID_ARG_VALUE' };

let model: TestModel;
before(async () => {
  model = await openTiny();
});
after(() => model.dispose());

const options = { device: 'cpu', threads: 1, cancellation: never };
const path = tiny.path;
const latent = new Float32Array(256);
const shape = [1, 4, 8, 8];
const time = { data: new Float32Array([500]), shape: [1] };
const context = { data: new Float32Array(77 * 64), shape: [1, 77, 64] };
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

type Call = (model: Anything) => Promise<unknown>;

const encode =
  (data: Anything, shape: Anything = [1, 77], settings: Anything = { clipSkip: 1 }): Call =>
  (m) =>
    m.evaluate('text_encoder', { tokens: { data, shape } }, { settings }, never);
const decode =
  (data: Anything, shape: Anything, options: Anything = {}): Call =>
  (m) =>
    m.evaluate('vae_decoder', { latent: { data, shape } }, options, never);
const encodeImage =
  (data: Anything, shape: Anything): Call =>
  (m) =>
    m.evaluate('vae_encoder', { image: { data, shape } }, {}, never);
const predict =
  (more: Anything, options: Anything = {}): Call =>
  (m) =>
    m.evaluate('unet', { latent: { data: latent, shape }, timesteps: time, context, ...more }, options, never);

const calls: [name: string, call: Call, error: object][] = [
  ['nothing', (m) => m.evaluate(), wrongType],
  ['a component that is not there', (m) => m.evaluate('unet_2', {}, {}, never), wrongValue],
  ['a number for a component', (m) => m.evaluate(1, {}, {}, never), wrongType],
  ['no inputs', (m) => m.evaluate('unet', undefined, {}, never), wrongType],
  ['an input that is not there', predict({ noise: time }), wrongValue],
  ['an input without data', predict({ timesteps: { shape: [1] } }), wrongType],
  ['a hundred inputs', predict(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`i${i}`, time]))), wrongValue],
  ['an array of tokens', encode(Array.from(tokens)), wrongType],
  ['unsigned tokens', encode(new Uint32Array(77)), wrongType],
  ['tokens in floating point', encode(new Float32Array(77)), wrongValue],
  ['no token', encode(new Int32Array(0)), wrongValue],
  ['78 tokens', encode(new Int32Array(78), [1, 78]), wrongValue],
  ['a token past the vocabulary', encode(tokens.with(3, 1000)), wrongValue],
  ['a negative token', encode(tokens.with(3, -1)), wrongValue],
  ['a clip skip of 0', encode(tokens, [1, 77], { clipSkip: 0 }), wrongValue],
  ['a clip skip past the layers', encode(tokens, [1, 77], { clipSkip: 3 }), wrongValue],
  ['a clip skip of NaN', encode(tokens, [1, 77], { clipSkip: Number.NaN }), wrongValue],
  ['a string for the clip skip', encode(tokens, [1, 77], { clipSkip: '1' }), wrongType],
  ['a setting that is not there', encode(tokens, [1, 77], { skip: 1 }), wrongValue],
  ['an array of settings', encode(tokens, [1, 77], 1), wrongType],
  ['a latent in double precision', decode(new Float64Array(256), shape), wrongType],
  ['a latent as bytes', decode(new DataView(latent.buffer), shape), wrongType],
  ['a latent of integers', decode(new Int32Array(256), shape), wrongValue],
  ['a detached latent', (m) => decode(detached(), shape)(m), wrongValue],
  ['no shape', (m) => m.evaluate('vae_decoder', { latent: { data: latent } }, {}, never), wrongType],
  ['a shape of 3 sizes', decode(latent, [4, 8, 8]), wrongValue],
  ['a shape of 5 sizes', decode(latent, [1, 1, 4, 8, 8]), wrongValue],
  ['a shape of a milliard sizes', decode(latent, new Array(1e9)), wrongValue],
  ['a shape with a hole', decode(latent, new Array(4)), wrongType],
  ['a shape of strings', decode(latent, ['1', '4', '8', '8']), wrongType],
  ['a shape of another product', decode(latent, [1, 4, 8, 9]), wrongValue],
  ['a shape with a zero', decode(new Float32Array(0), [0, 4, 8, 8]), wrongValue],
  ['a negative shape', decode(latent, [1, 4, -8, -8]), wrongValue],
  ['a shape that overflows', decode(latent, [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1, 1]), wrongValue],
  ['a shape past 32 bits', decode(latent, [2 ** 32 + 1, 4, 8, 8]), wrongValue],
  ['three latent channels', decode(new Float32Array(192), [1, 3, 8, 8]), wrongValue],
  ['another word for sides', decode(latent, shape, { tileable: 'yx' }), wrongValue],
  ['a number for sides', decode(latent, shape, { tileable: 1 }), wrongType],
  ['an image of four channels', encodeImage(latent, shape), wrongValue],
  ['an image that is no multiple of 8', encodeImage(new Float32Array(243), [1, 3, 9, 9]), wrongValue],
  ['two timesteps', predict({ timesteps: { data: new Float32Array(2), shape: [2] } }), wrongValue],
  ['a number for timesteps', predict({ timesteps: 500 }), wrongType],
  ['a short context', predict({ context: { data: context.data.subarray(1), shape: [1, 77, 64] } }), wrongValue],
  ['a narrow context', predict({ context: { data: context.data, shape: [1, 154, 32] } }), wrongValue],
  ['no context token', predict({ context: { data: context.data, shape: [1, 0, 64] } }), wrongValue],
  ['2^53 context tokens', predict({ context: { data: context.data, shape: [1, 2 ** 53, 64] } }), wrongValue],
  ['no context', predict({ context: undefined }), wrongValue],
  ['a vector for a UNet that takes none', predict({ vector: context }), wrongValue],
  ['an array for guidance', predict({ guidance: [1] }), wrongType],
  ['a path for LoRAs', predict({}, { loras: path }), wrongType],
  ['a cancellation for LoRAs', predict({}, { loras: never }), wrongType],
  ['an object for controls', predict({}, { controls: {} }), wrongType],
  ['null for a control', predict({}, { controls: [null] }), wrongType],
  ['a control without a ControlNet', predict({}, { controls: [{ hint: time, strength: 1 }] }), wrongType],
  ['a string for options', predict({}, 'x'), wrongType],
  ['no cancellation', (m) => m.evaluate('vae_decoder', { latent: { data: latent, shape } }, {}), wrongType],
  ['to load what is not there', (m) => m.load('clip', never), wrongValue],
  ['to unload what is not there', (m) => m.unload('clip'), wrongValue],
  ['to estimate without shapes', (m) => m.estimate('unet'), wrongType],
  ['to estimate shapes that do not fit', (m) => m.estimate('vae_decoder', { latent: [1, 3, 8, 8] }), wrongValue],
  ['to estimate with a size of 0', (m) => m.estimate('vae_decoder', { latent: [1, 4, 0, 8] }), wrongValue],
  ['LoRAs that are no array', (m) => m.openLoras({}, never), wrongType],
  ['a number for a ControlNet', (m) => m.openControlNet(1, never), wrongType],
];

for (const [name, call, error] of calls) {
  test(`a call refuses ${name}`, () => assert.rejects(call(model.native), error));
}

test('a getter that detaches an array cannot spoil what was read before', async () => {
  const array = new Float32Array(256).fill(0.5);
  const expected = await model.decode(array, shape, never);
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
  assert.deepEqual(await model.decode(shared, shape, never), await model.decode(shared.slice(), shape, never));
});

test('classes refuse wrong receivers and constructors', async () => {
  const { native } = model;
  const loras = await native.openLoras([], never);
  assert.throws(() => Reflect.construct(native.constructor, []), wrongType);
  assert.throws(() => Reflect.construct(loras.constructor, []), wrongType);
  assert.throws(() => (addon.Cancellation as Anything)(), TypeError);
  assert.throws(() => never.cancel.call(native as Anything), TypeError);
  assert.throws(() => native.dispose.call(never as Anything), TypeError);
  assert.throws(() => loras.close.call(native as Anything), TypeError);
  assert.throws(() => native.evaluate.call(Object.create(native) as Anything, 'unet', {}, {}, never), TypeError);
});

test('a handle is taken by its own model, while it is open', async () => {
  const other = await openTiny();
  const loras = await other.native.openLoras([], never);
  await assert.rejects(predict({}, { loras })(model.native), wrongValue);
  const controls = [{ net: loras, hint: { data: new Float32Array(3 * 64 * 64), shape: [1, 3, 64, 64] }, strength: 1 }];
  await assert.rejects(predict({}, { controls })(other.native), wrongValue);
  assert.ok(await predict({}, { loras })(other.native));
  await loras.close();
  await loras.close();
  await assert.rejects(predict({}, { loras })(other.native), wrongValue);
  await other.dispose();
});

test('after all that the model still answers', async () => {
  assert.equal((await encodeText(model)).hidden.length, 77 * 64);
});
