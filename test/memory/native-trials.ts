// The calls whose native allocations fail in turn (sweep.ts).

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { convert, estimate, loadModel, type Model } from '../../lib/index.ts';
import { callNative } from '../../lib/native/call.ts';
import { addon, never, openTiny, tiny } from '../support/addon.ts';
import { goldenTensors } from '../support/golden.ts';
import { evaluateImage, type TestCondition, type TestImageNetwork, type TestModel } from '../support/networks.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { tinyControlNet } from '../support/tiny-control-net.ts';
import { tinyDpt } from '../support/tiny-depth.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import { tinyCompactNet, writeUpscaler } from '../support/tiny-upscalers.ts';
import { type Trial, trial } from './trial.ts';

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

async function draw(model: Model): Promise<Uint8Array> {
  const [image] = (await model.txt2img({ prompt: 'a red apple', width: 64, height: 64, steps: 2, seed: 1 })).images;
  return image?.data ?? new Uint8Array();
}

export const nativeTrials: readonly Trial<unknown>[] = [
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
    ...nothing,
    name: 'open with another type',
    call: async () => {
      const model = await openTiny({ threads: 2, type: 'q4_0', rules: [], onLog: () => {} });
      const result = await predict(model);
      await model.dispose();
      return result;
    },
  }),
  trial({
    ...nothing,
    name: 'estimate',
    call: async () => {
      const { stages } = await estimate(worded, { width: 64, height: 64 }, { device: 'cpu', threads: 2 });
      return new Float32Array(stages.map(({ weights, compute }) => weights + compute));
    },
  }),
  trial({
    name: 'an image within a budget',
    prepare: () => loadModel(worded, { threads: 2, memory: 'auto' }),
    call: draw,
    end: (model) => model.dispose(),
  }),
  trial({
    name: 'an image',
    prepare: () => loadModel(worded, { threads: 2 }),
    call: draw,
    end: (model) => model.dispose(),
  }),
];
