// Calls of a native model: order, independence, and an event loop that keeps turning.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { NativeProgress } from '../../lib/native/contract.ts';
import { addon, DECODED_LENGTH, decode, encodeText, never, openTiny, predict, tiny } from '../support/addon.ts';
import { bestBelow, longestBlock } from '../support/event-loop.ts';
import { openModel, type TestModel } from '../support/networks.ts';
import { moduleUrl } from '../support/places.ts';
import { distilledArchitecture } from '../support/tiny-architectures.ts';
import { tinyModel } from '../support/tiny-model.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

let model: TestModel;
before(async () => {
  model = await openTiny();
});
after(() => model.dispose());

test('the build names its ggml and its backends, and the devices are among them', () => {
  assert.match(addon.build.ggml, /^\d+\.\d+/);
  assert.ok(addon.build.backends.includes('cpu'));
  assert.ok(addon.devices().some(({ name, type }) => name === 'cpu' && type === 'cpu'));
});

test('a model tells what its tensors say', () => {
  const { info } = model;
  for (const size of ['latentChannels', 'vaeScaleFactor'] as const) assert.equal(info[size], tiny.sizes[size], size);
  const { textPositions, textVocabulary, textLayers, textWidth } = tiny.sizes;
  const sizes = { positions: textPositions, vocabulary: textVocabulary, layers: textLayers, width: textWidth };
  const component = 'text_encoder';
  assert.deepEqual(info.textEncoders, [{ component, kind: 'clip', ...sizes, projection: 0, clipSkip: 1 }]);
  assert.deepEqual([info.inChannels, info.vectorSize, info.guidanceSize], [4, 0, 0]);
  const parameters = Object.fromEntries(info.components.map(({ kind, parameters }) => [kind, parameters]));
  assert.deepEqual(parameters, { ...tiny.sizes.parameters });
  assert.throws(() => Object.assign(model.native, { info: 1 }), TypeError);
});

test('self-attention in the middle block can be the identity, where there is any', async () => {
  const latent = Float32Array.from({ length: 256 }, (_, i) => Math.sin(i));
  const context = { context: new Float32Array(77 * 64).fill(0.1), contextTokens: 77 };
  const evaluate = (opened: TestModel, identityAttention?: boolean) =>
    opened.predict(latent, [1, 4, 8, 8], new Float32Array([500]), { ...context, identityAttention } as never, never);
  const plain = await evaluate(model);
  assert.deepEqual(await evaluate(model, false), plain);
  const perturbed = await evaluate(model, true);
  assert.ok(perturbed.every(Number.isFinite));
  assert.notDeepEqual(perturbed, plain);
  // The two graphs do not take each other's place.
  assert.deepEqual(await evaluate(model), plain);
  assert.equal(model.info.middleAttention, true);
  const without = await openModel(
    { model: tinyModel({ architecture: distilledArchitecture }).path },
    { device: 'cpu', threads: 1, cancellation: never },
  );
  assert.equal(without.info.middleAttention, false);
  await assert.rejects(evaluate(without, true), { code: 'ERR_MODEL_UNSUPPORTED', message: /middle block/ });
  await without.dispose();
});

test('progress rises to the whole before the model is there, and ends with it', async () => {
  const reports: NativeProgress[] = [];
  const opened = await openTiny({ onProgress: (progress) => reports.push(progress) });
  const count = reports.length;
  await encodeText(opened);
  await opened.dispose();
  assert.equal(reports.length, count);
  const last = reports.at(-1) as NativeProgress;
  assert.equal(last.done, last.total);
  assert.ok(reports.every(({ done, stage }, i) => stage === 'weights' && done >= (reports[i - 1]?.done ?? 0)));
});

test('what a progress listener throws rejects the opening, whatever it is', async () => {
  for (const thrown of [new Error('enough'), 'enough', undefined, null]) {
    const opening = openTiny({
      onProgress: () => {
        throw thrown;
      },
    });
    const reason = await opening.then(
      () => assert.fail('it opened'),
      (error) => error,
    );
    assert.equal(reason, thrown);
  }
});

test('calls of one model settle in the order of their making', async () => {
  const order: number[] = [];
  const calls = [predict(model, new Float32Array(256)), encodeText(model), encodeText(model)];
  await Promise.all(calls.map((call, i) => call.then(() => order.push(i))));
  assert.deepEqual(order, [0, 1, 2]);
});

test('an array may be changed after it was given to a call', async () => {
  const latent = new Float32Array(256).fill(0.5);
  const expected = await predict(model, latent);
  const call = predict(model, latent);
  latent.fill(Number.NaN);
  assert.deepEqual(await call, expected);
});

test('two models work at once and give what each gives alone', async () => {
  const other = await openTiny();
  const latent = new Float32Array(256).fill(0.25);
  const expected = await predict(model, latent);
  const results = await Promise.all([model, other, model, other].map((each) => predict(each, latent)));
  for (const result of results) assert.deepEqual(result, expected);
  await other.dispose();
});

test('a large result owns its memory, also after the model is gone', async () => {
  const opened = await openTiny();
  const pixels = await decode(opened, never, 320);
  await opened.dispose();
  collectGarbage();
  assert.equal(pixels.length, 3 * 320 * 320);
  assert.ok(pixels.every(Number.isFinite));
});

test('the event loop turns every 10 ms while a model opens, computes and hands over an image', async () => {
  const longest = await bestBelow(10, async () => {
    const work = async (): Promise<void> => {
      const opened = await openTiny();
      const image = decode(opened, never, 128);
      await Promise.all([image, encodeText(opened), addon.inspect({ model: tiny.path }, never)]);
      await opened.dispose();
    };
    return longestBlock(work());
  });
  assert.ok(longest < 10, `a turn took ${longest.toFixed(1)} ms`);
});

const mappings = (): number =>
  readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .filter((line) => line.endsWith(tiny.path)).length;

test('memory is free when dispose() resolves', { skip: process.platform !== 'linux' }, async () => {
  const before = mappings();
  const opened = await openTiny();
  assert.ok(mappings() > before);
  await opened.dispose();
  assert.equal(mappings(), before);
});

test('the garbage collector frees a model that nobody disposed', { skip: process.platform !== 'linux' }, async () => {
  const before = mappings();
  await (async () => {
    for (let i = 0; i < 10; i++) {
      const opened: TestModel = await openTiny({ onLog: () => opened });
      await encodeText(opened);
    }
  })();
  const deadline = performance.now() + 10_000;
  while (mappings() > before && performance.now() < deadline) {
    collectGarbage();
    await setTimeout(20);
  }
  assert.equal(mappings(), before);
});

test('a call keeps its model from the garbage collector', async () => {
  const call = openTiny().then((opened) => decode(opened));
  const collector = setInterval(collectGarbage, 20);
  try {
    assert.equal((await call).length, DECODED_LENGTH);
  } finally {
    clearInterval(collector);
  }
});

test('more threads than the system grants are refused', {
  // A limit on the processes of a user binds no one but that user, so the test becomes one who has none yet.
  skip: (process.platform !== 'linux' || process.getuid?.() !== 0) && 'only root becomes another user',
}, () => {
  const { path } = tinyModel();
  chmodSync(dirname(path), 0o755);
  chmodSync(path, 0o644);
  // Once its modules are loaded, which that user may not be able to read.
  const script = `
    import { loadAddon } from ${JSON.stringify(moduleUrl('lib/native/load.ts'))};
    const addon = loadAddon();
    process.setgid(65534);
    process.setuid(65534);
    const cancellation = new addon.Cancellation();
    await addon.open({ model: ${JSON.stringify(path)} }, { device: 'cpu', threads: 512, cancellation })
      .then((model) => model.load('unet', cancellation))
      .catch(({ code, message }) => console.log(code, message));`;
  const command = ['--nproc=100', process.execPath, '--input-type=module', '-e', script];
  const { stdout, stderr } = spawnSync('prlimit', command, { encoding: 'utf8' });
  assert.match(stdout, /^ERR_DEVICE Expected 512 threads, but the system grants only \d+\. /, stderr);
});

test('images beyond any size are refused', async () => {
  // 32768x32768 pixels.
  await assert.rejects(model.decode(new Float32Array(4 * 4096 * 4096), [1, 4, 4096, 4096], never), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /2\^28 pixels/,
  });
});
