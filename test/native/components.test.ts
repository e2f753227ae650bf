// Components of a model: what they declare, their memory, and callers that do not disturb each other.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it, test } from 'node:test';
import { loadModel } from '../../lib/index.ts';
import type { NativeEvaluation, NativeMemory, NativeModel } from '../../lib/native/contract.ts';
import { never, openTiny } from '../support/addon.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { tinyControlNet } from '../support/tiny-control-net.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

const wave = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i));
const INPUTS = {
  text_encoder: { tokens: { data: new Int32Array(77).fill(7), shape: [1, 77] } },
  unet: {
    latent: { data: wave(256), shape: [1, 4, 8, 8] },
    timesteps: { data: new Float32Array([500]), shape: [1] },
    context: { data: wave(77 * 64), shape: [1, 77, 64] },
  },
  vae_decoder: { latent: { data: wave(256), shape: [1, 4, 8, 8] } },
  vae_encoder: { image: { data: wave(3 * 64 * 64), shape: [1, 3, 64, 64] } },
};
type Name = keyof typeof INPUTS;
const NAMES = Object.keys(INPUTS) as Name[];

const evaluate = async (model: NativeModel, name: Name, options: NativeEvaluation = {}) =>
  Object.values(await model.evaluate(name, INPUTS[name], options, never));
const open = async (options = {}) => (await openTiny(options)).native;
const weights = ({ allocatedBytes, packedBytes }: NativeMemory) => allocatedBytes + packedBytes;
const loaded = async (model: NativeModel) =>
  Object.entries(await model.memory()).flatMap(([name, memory]) => (memory.loaded ? [name] : []));

function lora(name: string, value: number): string {
  const layer = 'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k';
  const tensor = (part: string, shape: number[]): TestTensor => {
    const values = new Float32Array(shape.reduce((a, b) => a * b)).fill(value);
    return { name: `${layer}.${part}.weight`, dtype: 'f32', shape, values };
  };
  const path = join(temporaryFolder(), `components-${name}.safetensors`);
  writeSafetensors(path, [tensor('lora_up', [32, 1]), tensor('lora_down', [1, 64])]);
  return path;
}

test('a component declares its inputs, outputs and settings', async () => {
  const model = await open();
  const { components } = model;
  await model.dispose();
  assert.deepEqual(Object.keys(components), ['text_encoder', 'unet', 'vae_decoder', 'vae_encoder']);
  assert.equal(components.unet?.device, 'cpu');
  assert.deepEqual(components.unet?.inputs, [
    { name: 'latent', type: 'f32', shape: ['batch', 4, 'height', 'width'], optional: false },
    { name: 'timesteps', type: 'f32', shape: ['batch'], optional: false },
    { name: 'context', type: 'f32', shape: ['batch', 'tokens', 64], optional: false },
  ]);
  assert.deepEqual(components.vae_decoder?.outputs, [
    { name: 'image', type: 'f32', shape: ['batch', 3, '8 height', '8 width'], optional: false },
  ]);
  assert.deepEqual(components.text_encoder?.settings, { clipSkip: { least: 1, most: 2, default: 1 } });
});

describe('the memory of a component', () => {
  let model: NativeModel;
  before(async () => {
    model = await open();
  });
  after(() => model.dispose());

  for (const name of NAMES) {
    it(`is free when it is unloaded, and its answers are the same when it is back: ${name}`, async () => {
      const expected = await evaluate(model, name);
      const before = (await model.memory())[name] as NativeMemory;
      assert.ok(before.loaded && weights(before) > 0 && before.computeBytes > 0);
      await model.unload(name);
      const none = { loaded: false, mappedBytes: 0, allocatedBytes: 0, packedBytes: 0, computeBytes: 0 };
      assert.deepEqual((await model.memory())[name], none);
      await model.unload(name);
      assert.deepEqual(await evaluate(model, name), expected);
      assert.deepEqual((await model.memory())[name], before);
      await model.unload(name);
      await model.load(name, never);
      assert.equal((await model.memory())[name]?.allocatedBytes, before.allocatedBytes);
      assert.deepEqual(await evaluate(model, name), expected);
    });

    it(`is what was estimated, loaded or not: ${name}`, async () => {
      const shapes = Object.fromEntries(Object.entries(INPUTS[name]).map(([input, { shape }]) => [input, shape]));
      await model.unload(name);
      const estimate = await model.estimate(name, shapes);
      assert.deepEqual(estimate, { ...estimate, loaded: false });
      assert.deepEqual(
        await loaded(model),
        NAMES.filter((other) => other !== name),
      );
      await model.load(name, never);
      assert.deepEqual(await model.estimate(name, shapes), { ...estimate, loaded: true });
      await evaluate(model, name);
      const { residentBytes, streamedBytes, hostBytes, ...held } = estimate;
      assert.deepEqual((await model.memory())[name], { ...held, loaded: true });
      assert.ok(residentBytes >= streamedBytes && streamedBytes > 0);
      assert.equal(hostBytes, 0);
    });
  }

  it('is estimated higher for larger images', async () => {
    const of = async (side: number) =>
      (await model.estimate('vae_decoder', { latent: [1, 4, side, side] })).computeBytes;
    assert.ok((await of(64)) > 10 * (await of(8)));
  });
});

describe('residency', () => {
  it('keep: all components are loaded from the opening on', async () => {
    const model = await open();
    assert.deepEqual(await loaded(model), NAMES);
    await model.dispose();
  });

  it('unload: one component is loaded at a time, the one that was evaluated last', async () => {
    const [kept, model] = [await open(), await open({ residency: 'unload' })];
    assert.deepEqual(await loaded(model), []);
    for (const name of [...NAMES, ...NAMES]) {
      assert.deepEqual(await evaluate(model, name), await evaluate(kept, name));
      assert.deepEqual(await loaded(model), [name]);
    }
    await Promise.all([kept.dispose(), model.dispose()]);
  });

  it('budget: those go that were not evaluated for the longest time, until the rest fits', async () => {
    const kept = await open();
    for (const name of NAMES) await evaluate(kept, name);
    const bytes = await kept.memory();
    const of = (...names: Name[]) => names.reduce((sum, name) => sum + weights(bytes[name] as NativeMemory), 0);
    await kept.dispose();
    const model = await open({ residency: of('text_encoder', 'unet', 'vae_decoder') });
    for (const name of ['text_encoder', 'unet', 'text_encoder', 'vae_decoder'] as const) await evaluate(model, name);
    assert.deepEqual(await loaded(model), ['text_encoder', 'unet', 'vae_decoder']);
    await evaluate(model, 'vae_encoder');
    assert.ok(!(await loaded(model)).includes('unet'), 'the one that was used longest ago');
    assert.ok((await loaded(model)).includes('vae_encoder'));
    const used = Object.values(await model.memory()).reduce((sum, memory) => sum + weights(memory), 0);
    assert.ok(used <= of('text_encoder', 'unet', 'vae_decoder'), `${used} bytes`);
    await model.dispose();
  });

  it('a budget below any component leaves the one that is evaluated', async () => {
    const model = await open({ residency: 0 });
    for (const name of NAMES) {
      await evaluate(model, name);
      assert.deepEqual(await loaded(model), [name]);
    }
    await model.dispose();
  });

  for (const residency of ['none', -1, 0.5, null]) {
    it(`${residency} is none`, () =>
      assert.rejects(openTiny({ residency: residency as 'keep' }), { code: /^ERR_INVALID_ARG_/ }));
  }
});

describe('two callers of one model do not disturb each other', () => {
  for (const residency of ['keep', 'unload'] as const) {
    it(`with LoRAs of their own, residency ${residency}`, async () => {
      const model = await open({ residency });
      const files = [lora('one', 0.3), lora('two', -0.4)];
      const sets = await Promise.all(files.map((path) => model.openLoras([{ path, weight: 1 }], never)));
      const options: NativeEvaluation[] = [{}, ...sets.map((loras) => ({ loras }))];
      const alone: Float32Array[][] = [];
      for (const option of options) alone.push(await evaluate(model, 'unet', option));
      assert.notDeepEqual(alone[0], alone[1]);
      assert.notDeepEqual(alone[1], alone[2]);
      for (let turn = 0; turn < 2; turn++) {
        const together = options.map((option) => [
          evaluate(model, 'unet', option),
          evaluate(model, 'text_encoder', option),
        ]);
        assert.deepEqual(await Promise.all(together.map(([unet]) => unet)), alone);
      }
      const [first] = sets;
      await first?.close();
      assert.deepEqual(await evaluate(model, 'unet', options[2]), alone[2]);
      assert.deepEqual(await evaluate(model, 'unet'), alone[0]);
      await model.dispose();
    });
  }

  it('with handles of one model, which are none of another one', async () => {
    const [model, other] = [await open(), await open()];
    const loras = await model.openLoras([{ path: lora('one', 0.3), weight: 1 }], never);
    const refused = { code: 'ERR_INVALID_ARG_VALUE', message: /loras: expected LoRAs that are open on this model/ };
    await assert.rejects(other.evaluate('unet', INPUTS.unet, { loras }, never), refused);
    const shapes = { latent: [1, 4, 8, 8], timesteps: [1], context: [1, 77, 64] };
    await assert.rejects(other.estimate('unet', shapes, { loras }), refused);
    await model.estimate('unet', shapes, { loras });
    await Promise.all([model.dispose(), other.dispose()]);
  });

  it('with ControlNets of their own, of which one is closed', async () => {
    const model = await open();
    const hint = { data: wave(3 * 64 * 64), shape: [1, 3, 64, 64] };
    const nets = [];
    for (const seed of [2, 3]) nets.push(await model.openControlNet(tinyControlNet({ seed }), never));
    const options = nets.map((net) => ({ controls: [{ net, hint, strength: 1 }] }));
    const alone = [];
    for (const option of options) alone.push(await evaluate(model, 'unet', option));
    assert.notDeepEqual(alone[0], alone[1]);
    assert.deepEqual(await Promise.all(options.map((option) => evaluate(model, 'unet', option))), alone);
    const last = evaluate(model, 'unet', options[0]);
    await nets[0]?.close();
    assert.deepEqual(await last, alone[0]);
    assert.deepEqual(await evaluate(model, 'unet', options[1]), alone[1]);
    await model.dispose();
  });

  it('as runs of a Model', async () => {
    const path = tinyModel({ vocabulary: 49408 }).path;
    const [one, two] = [lora('one', 0.3), lora('two', -0.4)];
    const image = { prompt: 'x', width: 64, height: 64, steps: 2, seed: 1 };
    const controls = [{ model: tinyControlNet(), image: { width: 64, height: 64, data: new Uint8Array(3 * 64 * 64) } }];
    const variants = [{ ...image, loras: [{ path: one }] }, { ...image, loras: [{ path: two }], controls }, image];
    await using model = await loadModel(path, { device: 'cpu', threads: 1 });
    const generate = async (options: (typeof variants)[number]) => (await model.txt2img(options)).images[0]?.data;
    const alone = [];
    for (const variant of variants) alone.push(await generate(variant));
    assert.equal(new Set(alone.map((data) => Buffer.from(data as Uint8Array).toString('hex'))).size, 3);
    assert.deepEqual(await Promise.all([...variants, ...variants].map(generate)), [...alone, ...alone]);
    for (const residency of ['unload', { budget: 1 }] as const) {
      await using other = await loadModel(path, { device: 'cpu', threads: 1, residency });
      for (const [i, variant] of variants.entries()) {
        assert.deepEqual((await other.txt2img(variant)).images[0]?.data, alone[i]);
      }
    }
  });

  it('but not with a residency that is none', async () => {
    const refuse = () => {
      throw new Error('unreadable');
    };
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    const unreadable = [
      Object.defineProperty({}, 'budget', { get: refuse }),
      new Proxy({}, { get: refuse }),
      revoked.proxy,
    ];
    const none = ['none', 1, Number.NaN, 3n, Symbol('keep'), null, [], {}, { budget: 1, bytes: 1 }];
    const budgets = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '1', 1n, null].map((budget) => ({
      budget,
    }));
    for (const residency of [...none, ...budgets, ...unreadable]) {
      await assert.rejects(loadModel(tinyModel().path, { residency: residency as 'keep' }), {
        code: /^ERR_(INVALID_ARG_(TYPE|VALUE)|UNKNOWN_OPTION)$/,
        message: /residency/,
      });
    }
  });
});

test('a model that is not kept loads what is called for, and says what all take', async () => {
  const [kept, model] = [await open(), await open({ residency: 'unload' })];
  assert.equal(model.info.allocatedBytes, kept.info.allocatedBytes);
  await Promise.all([kept.dispose(), model.dispose()]);
});
