// Fails single allocations of the native side in each of its calls, and all from a certain one on. Runs by itself, with the
// allocator of native/test/failing_memory.cc preloaded; tells a line of JSON for each call:
//
//   LD_PRELOAD=build/memory/failing_memory.node node dist/test/memory/sweep.js [SAMPLES]
//
// SAMPLES is how many of the allocations of a call fail in turn; without it, all do.

import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { convert, loadModel } from '../../lib/index.ts';
import { callNative } from '../../lib/native/call.ts';
import { addon, never, openTiny, tiny } from '../support/addon.ts';
import { goldenTensors } from '../support/golden.ts';
import { evaluateImage, type TestCondition, type TestImageNetwork, type TestModel } from '../support/networks.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { tinyControlNet } from '../support/tiny-control-net.ts';
import { tinyDpt } from '../support/tiny-depth.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import { tinyCompactNet, writeUpscaler } from '../support/tiny-upscalers.ts';

interface FailingMemory {
  /** The allocation of this number, from 1, fails from now on; with `rest`, all after it too. */
  arm(chosen: number, rest: boolean): void;
  /** Allocations since, and how many of them failed. */
  disarm(): [counted: number, failed: number];
}

const memory = createRequire(import.meta.url)(process.env.LD_PRELOAD ?? '') as FailingMemory;

/** A call on trial: `prepare` makes what it is called on, anew for each allocation that fails. */
interface Trial<T> {
  readonly name: string;
  readonly prepare: () => Promise<T>;
  /** Bytes that must be the same each time. */
  readonly call: (subject: T) => Promise<Float32Array | Uint8Array> | Float32Array | Uint8Array;
  readonly end: (subject: T) => Promise<void>;
}

const trial = <T>(value: Trial<T>): Trial<unknown> => value as Trial<unknown>;
const nothing = { prepare: async () => undefined, end: async () => {} };
const controlNets = [tinyControlNet({ seed: 2 }), tinyControlNet({ seed: 3 })] as const;
const worded = tinyModel({ vocabulary: 49408 }).path;
const upscaler = writeUpscaler(tinyCompactNet());
const depth = writeUpscaler(tinyDpt());
const loras = ['one', 'two'].map((name, i) => writeLora(name, i + 1));

function writeLora(name: string, seed: number): string {
  const path = join(temporaryFolder(), `${name}.safetensors`);
  const all = [...goldenTensors('loras.safetensors')];
  const form = all.find(([key]) => key.includes('/'))?.[0].split('/')[0];
  const tensors = all.filter(([key]) => key.startsWith(`${form}/`));
  const changes = (layer: string, part: string): TestTensor => {
    return { name: `${layer}.${part}`, dtype: 'f32', shape: [64], values: new Float32Array(64).fill(seed / 4) };
  };
  // Of tensors that kernels pack, and of others.
  writeSafetensors(path, [
    ...tensors.map(([key, { shape, values }]): TestTensor => {
      const scaled = Float32Array.from(values, (value) => value * seed);
      return { name: key.slice(key.indexOf('/') + 1), dtype: 'f32', shape, values: scaled };
    }),
    changes('unet.mid_block.attentions.0.norm', 'w_norm'),
    changes('unet.mid_block.attentions.0.proj_in', 'diff_b'),
    changes('text_encoder.text_model.encoder.layers.0.layer_norm1', 'b_norm'),
    changes('lora_unet_elsewhere', 'diff_b'),
  ]);
  return path;
}

const latent = new Float32Array(4 * 8 * 8).fill(0.3);
const condition: TestCondition = { context: new Float32Array(77 * 64).fill(0.1), contextTokens: 77 };
const predict = (model: TestModel, more: Partial<TestCondition> = {}): Promise<Float32Array> =>
  model.predict(latent, [1, 4, 8, 8], new Float32Array([500]), { ...condition, ...more }, never);
const text = async (model: TestModel): Promise<Float32Array> =>
  (await model.encodeText(0, new Int32Array(tiny.sizes.textPositions).fill(7), 1, never)).hidden;
const open = (): Promise<TestModel> => openTiny({ threads: 2, onLog: () => {} });
const openImageNetwork = (network: string): Promise<TestImageNetwork> =>
  addon.open({ network }, { device: 'cpu', threads: 2, cancellation: never });
const dispose = (model: TestModel): Promise<void> => model.dispose();
const controlled = (model: TestModel, net: number): Promise<Float32Array> =>
  predict(model, {
    controls: [{ net, hint: new Float32Array(3 * 64 * 64).fill(0.5), shape: [1, 3, 64, 64], strength: 1 }],
  });

const trials: readonly Trial<unknown>[] = [
  trial({ ...nothing, name: 'devices', call: () => new Uint8Array([addon.devices().length]) }),
  trial({
    ...nothing,
    name: 'a cancellation',
    call: () => callNative(addon, undefined, async () => new Uint8Array()),
  }),
  trial({
    ...nothing,
    name: 'inspect',
    call: async () => new Uint8Array([(await addon.inspect({ model: tiny.path }, never)).components.length]),
  }),
  trial({
    ...nothing,
    name: 'open',
    call: async () => {
      const model = await open();
      const result = await predict(model);
      await model.dispose();
      return result;
    },
  }),
  trial({ name: 'encode text', prepare: open, call: text, end: dispose }),
  trial({ name: 'UNet', prepare: open, call: predict, end: dispose }),
  trial({
    name: 'decode',
    prepare: open,
    call: (model) => model.decode(latent, [1, 4, 8, 8], never),
    end: dispose,
  }),
  trial({
    name: 'decode in tiles',
    prepare: open,
    call: async ({ native }) => {
      const large = { data: new Float32Array(4 * 16 * 16).fill(0.3), shape: [1, 4, 16, 16] };
      const settings = { tileSide: 8, tileMemory: 1 };
      return (await native.evaluate('vae_decoder', { latent: large }, { settings }, never)).image as Float32Array;
    },
    end: dispose,
  }),
  trial({
    name: 'encode',
    prepare: open,
    call: (model) => model.encode(new Float32Array(3 * 64 * 64).fill(0.5), [1, 3, 64, 64], never),
    end: dispose,
  }),
  trial({
    name: 'LoRAs',
    prepare: async () => {
      const model = await open();
      await model.setLoras([{ path: loras[0] as string, weight: 1 }], never);
      await predict(model);
      return model;
    },
    call: async (model) => {
      await model.setLoras([{ path: loras[1] as string, weight: 0.5 }], never);
      return new Float32Array([...(await text(model)), ...(await predict(model))]);
    },
    end: dispose,
  }),
  trial({
    name: 'LoRAs on quantized weights',
    prepare: () => openTiny({ threads: 2, type: 'q8_0', rules: [], onLog: () => {} }),
    call: async (model) => {
      await model.setLoras([{ path: loras[0] as string, weight: 1 }], never);
      return new Float32Array([...(await text(model)), ...(await predict(model))]);
    },
    end: dispose,
  }),
  trial({
    name: 'ControlNets',
    prepare: async () => {
      const model = await open();
      await model.setControlNets([controlNets[0]], never);
      await controlled(model, 0);
      return model;
    },
    call: async (model) => {
      await model.setControlNets([controlNets[1], controlNets[0]], never);
      return controlled(model, 0);
    },
    end: dispose,
  }),
  trial({
    name: 'residency',
    prepare: async () => {
      const model = await openTiny({ threads: 2, residency: Number.MAX_SAFE_INTEGER, onLog: () => {} });
      await predict(model);
      await text(model);
      return model;
    },
    call: text,
    end: dispose,
  }),
  trial({
    name: 'streamed weights',
    prepare: async () => {
      const model = await open();
      await model.native.setResidency('unload', true);
      await text(model);
      return model;
    },
    call: predict,
    end: dispose,
  }),
  trial({
    name: 'convert',
    prepare: async () => join(temporaryFolder(), 'converted.gguf'),
    call: async (output) => {
      await convert(tiny.path, output, { type: 'q8_0' });
      return readFileSync(output);
    },
    end: async (output) => rmSync(output),
  }),
  trial({
    name: 'upscaler',
    prepare: async () => undefined,
    call: async () => {
      const network = await openImageNetwork(upscaler);
      try {
        return await evaluateImage(network, new Float32Array(3 * 16 * 16).fill(0.5), [1, 3, 16, 16], never);
      } finally {
        await network.dispose();
      }
    },
    end: async () => {},
  }),
  trial({
    name: 'depth',
    prepare: () => openImageNetwork(depth),
    call: (network) => evaluateImage(network, new Float32Array(3 * 64 * 64).fill(0.5), [1, 3, 64, 64], never),
    end: (network) => network.dispose(),
  }),
  trial({
    name: 'an image',
    prepare: () => loadModel(worded, { threads: 2 }),
    call: async (model) => {
      const [image] = (await model.txt2img({ prompt: 'a red apple', width: 64, height: 64, steps: 2, seed: 1 })).images;
      return image?.data ?? new Uint8Array();
    },
    end: (model) => model.dispose(),
  }),
];

const bytes = (values: Float32Array | Uint8Array): Buffer =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength);

/** `samples` numbers from 1 to `count`, the first and the last among them. */
function spread(count: number, samples: number): number[] {
  if (samples >= count) return Array.from({ length: count }, (_, i) => i + 1);
  return Array.from({ length: samples }, (_, i) => 1 + Math.round((i * (count - 1)) / Math.max(1, samples - 1)));
}

async function sweep({ name, prepare, call, end }: Trial<unknown>, samples: number): Promise<void> {
  const first = await prepare();
  memory.arm(0, false);
  const expected = bytes(await call(first));
  const [count] = memory.disarm();
  await end(first);
  assert.ok(count > 0, `${name} takes memory`);
  const outcomes: Record<string, number> = {};
  for (const rest of [false, true]) {
    for (const chosen of spread(count, samples)) {
      const what = `${name}: allocation ${chosen} of ${count}${rest ? ' and all after it' : ''}`;
      const subject = await prepare();
      memory.arm(chosen, rest);
      let outcome: string;
      try {
        const result = bytes(await call(subject));
        memory.disarm();
        assert.ok(result.equals(expected), `${what}: another result`);
        outcome = 'right';
      } catch (error) {
        const [, failed] = memory.disarm();
        if (error instanceof assert.AssertionError) throw error;
        assert.ok(failed > 0, `${what}: failed without cause: ${error}`);
        const { code } = error as { code?: string };
        assert.equal(code, 'ERR_OUT_OF_MEMORY', `${what}: ${(error as Error).stack}`);
        outcome = 'refused';
      }
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      assert.ok(bytes(await call(subject)).equals(expected), `${what}: another result with memory back`);
      await end(subject);
    }
  }
  console.log(JSON.stringify({ name, count, ...outcomes }));
}

const samples = process.argv[2] === undefined ? Number.POSITIVE_INFINITY : Number(process.argv[2]);
const only = process.argv[3];
for (const one of trials) if (!only || one.name === only) await sweep(one, samples);
