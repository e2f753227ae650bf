// A checkpoint of a few megabytes with the tensor names of Stable Diffusion 1 (LDM layout), random weights from a seed.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type TestTensor, writeSafetensors } from './safetensors.ts';

export interface TinyModelOptions {
  /** Equal seeds give equal files. Default 1. */
  seed?: number;
  /** Type of all weights. Default `f32`. */
  dtype?: 'f32' | 'f16';
  /** Tokens in the vocabulary. Default 1000; text that a real tokenizer made needs 49408. */
  vocabulary?: number;
  /** Sizes of the networks. Default `tiny`. */
  architecture?: TinyModelArchitecture;
  /** Last change before writing: drop, add, rename, reshape or poison tensors. */
  edit?: (tensors: TestTensor[]) => TestTensor[];
  metadata?: Record<string, string>;
}

export interface TinyModelArchitecture {
  /** One entry of `channelMult` and `attention` a level, the finest first. */
  unet: { modelChannels: number; channelMult: number[]; attention: boolean[]; resBlocks: number };
  vae: { channels: number; channelMult: number[]; resBlocks: number };
  text: { width: number; layers: number; positions: number };
}

/** What the file holds, to check an engine's answers against. */
export interface TinyModelSizes {
  latentChannels: number;
  /** Pixels along one side of a latent's cell. */
  vaeScaleFactor: number;
  textPositions: number;
  textVocabulary: number;
  textLayers: number;
  textWidth: number;
  modelChannels: number;
  /** Latent sides must be multiples of this: the UNet halves them once per level after the first. */
  latentMultiple: number;
  /** Parameters of each component. */
  parameters: { unet: number; text_encoder: number; vae: number };
}

const unetPrefix = 'model.diffusion_model.';
const vaePrefix = 'first_stage_model.';
const textPrefix = 'cond_stage_model.transformer.text_model.';

// Group norm has 32 groups, so every channel count is a multiple of 32. SD 1 has 8 attention heads in its UNet, and heads of
// 64 channels in its text encoder.
const tiny: TinyModelArchitecture = {
  unet: { modelChannels: 32, channelMult: [1, 2], attention: [true, false], resBlocks: 2 },
  vae: { channels: 32, channelMult: [1, 1, 2, 2], resBlocks: 2 },
  text: { width: 64, layers: 2, positions: 77 },
};

/** Other sizes wherever they may differ: three levels in the UNet, two in the VAE, two heads in the text encoder. */
export const deepArchitecture: TinyModelArchitecture = {
  unet: { modelChannels: 32, channelMult: [1, 2, 2], attention: [true, true, false], resBlocks: 1 },
  vae: { channels: 32, channelMult: [1, 2], resBlocks: 1 },
  text: { width: 128, layers: 3, positions: 77 },
};

const latentChannels = 4;

/** Writes a tiny model into a folder that goes away with the process. */
export function tinyModel(options: TinyModelOptions = {}): { path: string; sizes: TinyModelSizes } {
  const {
    seed = 1,
    dtype = 'f32',
    vocabulary = 1000,
    architecture = tiny,
    edit = (tensors) => tensors,
    metadata,
  } = options;
  const { unet, vae, text } = architecture;
  const weights = new Weights(seed, dtype, architecture);
  addUnet(weights);
  addVae(weights);
  addTextEncoder(weights, vocabulary);
  const path = join(temporaryFolder(), `tiny-${count++}.safetensors`);
  writeSafetensors(path, edit(weights.tensors), metadata);
  return {
    path,
    sizes: {
      latentChannels,
      vaeScaleFactor: 2 ** (vae.channelMult.length - 1),
      textPositions: text.positions,
      textVocabulary: vocabulary,
      textLayers: text.layers,
      textWidth: text.width,
      modelChannels: unet.modelChannels,
      latentMultiple: 2 ** (unet.channelMult.length - 1),
      parameters: {
        unet: weights.parameters(unetPrefix),
        vae: weights.parameters(vaePrefix),
        text_encoder: weights.parameters(textPrefix),
      },
    },
  };
}

/** A folder for the files of this process's tests, removed at exit. */
export function temporaryFolder(): string {
  if (!folder) {
    const created = mkdtempSync(join(tmpdir(), 'node-diffusion-test-'));
    process.on('exit', () => rmSync(created, { recursive: true, force: true }));
    folder = created;
  }
  return folder;
}

let folder: string | undefined;
let count = 0;

/** Collects tensors, with values scaled so that activations neither vanish nor explode through the depth. */
class Weights {
  readonly tensors: TestTensor[] = [];
  readonly architecture: TinyModelArchitecture;
  readonly #normal: () => number;
  readonly #dtype: 'f32' | 'f16';

  constructor(seed: number, dtype: 'f32' | 'f16', architecture: TinyModelArchitecture) {
    this.architecture = architecture;
    this.#normal = normalNoise(seed);
    this.#dtype = dtype;
  }

  add(name: string, shape: number[], scale: number, mean = 0): void {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    for (let i = 0; i < values.length; i++) values[i] = mean + scale * this.#normal();
    this.tensors.push({ name, dtype: this.#dtype, shape, values });
  }

  linear(name: string, outputs: number, inputs: number, bias = true): void {
    this.add(`${name}.weight`, [outputs, inputs], 0.7 / Math.sqrt(inputs));
    if (bias) this.add(`${name}.bias`, [outputs], 0.01);
  }

  convolution(name: string, outputs: number, inputs: number, side: number): void {
    this.add(`${name}.weight`, [outputs, inputs, side, side], 0.7 / Math.sqrt(inputs * side * side));
    this.add(`${name}.bias`, [outputs], 0.01);
  }

  norm(name: string, channels: number): void {
    this.add(`${name}.weight`, [channels], 0.02, 1);
    this.add(`${name}.bias`, [channels], 0.01);
  }

  parameters(prefix: string): number {
    return this.tensors.filter((t) => t.name.startsWith(prefix)).reduce((sum, t) => sum + t.values.length, 0);
  }
}

function addUnet(weights: Weights): void {
  const { modelChannels, channelMult, attention, resBlocks } = weights.architecture.unet;
  const timeChannels = 4 * modelChannels;
  const block = (name: string, inputs: number, outputs: number, attends: boolean): void => {
    addUnetResBlock(weights, `${unetPrefix}${name}.0`, inputs, outputs, timeChannels);
    if (attends) addTransformer(weights, `${unetPrefix}${name}.1`, outputs);
  };
  weights.linear(`${unetPrefix}time_embed.0`, timeChannels, modelChannels);
  weights.linear(`${unetPrefix}time_embed.2`, timeChannels, timeChannels);

  weights.convolution(`${unetPrefix}input_blocks.0.0`, modelChannels, latentChannels, 3);
  let channels = modelChannels;
  const skips = [channels];
  channelMult.forEach((mult, level) => {
    for (let i = 0; i < resBlocks; i++) {
      block(`input_blocks.${skips.length}`, channels, mult * modelChannels, attention[level] === true);
      channels = mult * modelChannels;
      skips.push(channels);
    }
    if (level === channelMult.length - 1) return;
    weights.convolution(`${unetPrefix}input_blocks.${skips.length}.0.op`, channels, channels, 3);
    skips.push(channels);
  });

  block('middle_block', channels, channels, true);
  addUnetResBlock(weights, `${unetPrefix}middle_block.2`, channels, channels, timeChannels);

  let index = 0;
  [...channelMult.entries()].reverse().forEach(([level, mult]) => {
    for (let i = 0; i <= resBlocks; i++, index++) {
      const attends = attention[level] === true;
      block(`output_blocks.${index}`, channels + (skips.pop() as number), mult * modelChannels, attends);
      channels = mult * modelChannels;
      if (level === 0 || i < resBlocks) continue;
      weights.convolution(`${unetPrefix}output_blocks.${index}.${attends ? 2 : 1}.conv`, channels, channels, 3);
    }
  });
  weights.norm(`${unetPrefix}out.0`, modelChannels);
  weights.convolution(`${unetPrefix}out.2`, latentChannels, modelChannels, 3);
}

function addUnetResBlock(weights: Weights, name: string, inputs: number, outputs: number, timeChannels: number): void {
  weights.norm(`${name}.in_layers.0`, inputs);
  weights.convolution(`${name}.in_layers.2`, outputs, inputs, 3);
  weights.linear(`${name}.emb_layers.1`, outputs, timeChannels);
  weights.norm(`${name}.out_layers.0`, outputs);
  weights.convolution(`${name}.out_layers.3`, outputs, outputs, 3);
  if (inputs !== outputs) weights.convolution(`${name}.skip_connection`, outputs, inputs, 1);
}

function addTransformer(weights: Weights, name: string, channels: number): void {
  const block = `${name}.transformer_blocks.0`;
  weights.norm(`${name}.norm`, channels);
  weights.convolution(`${name}.proj_in`, channels, channels, 1);
  for (const [attention, contextSize] of [
    ['attn1', channels],
    ['attn2', weights.architecture.text.width],
  ] as const) {
    weights.linear(`${block}.${attention}.to_q`, channels, channels, false);
    weights.linear(`${block}.${attention}.to_k`, channels, contextSize, false);
    weights.linear(`${block}.${attention}.to_v`, channels, contextSize, false);
    weights.linear(`${block}.${attention}.to_out.0`, channels, channels);
  }
  weights.linear(`${block}.ff.net.0.proj`, 8 * channels, channels); // GEGLU: half of the 8 is the gate
  weights.linear(`${block}.ff.net.2`, channels, 4 * channels);
  for (const norm of ['norm1', 'norm2', 'norm3']) weights.norm(`${block}.${norm}`, channels);
  weights.convolution(`${name}.proj_out`, channels, channels, 1);
}

function addVae(weights: Weights): void {
  const { channels: base, channelMult, resBlocks } = weights.architecture.vae;
  const last = channelMult.length - 1;
  const width = (level: number): number => base * (channelMult[level] as number);

  weights.convolution(`${vaePrefix}encoder.conv_in`, base, 3, 3);
  let channels = base;
  for (let level = 0; level <= last; level++) {
    for (let i = 0; i < resBlocks; i++) {
      addVaeResBlock(weights, `${vaePrefix}encoder.down.${level}.block.${i}`, channels, width(level));
      channels = width(level);
    }
    if (level < last) weights.convolution(`${vaePrefix}encoder.down.${level}.downsample.conv`, channels, channels, 3);
  }
  addVaeMiddle(weights, `${vaePrefix}encoder.mid`, channels);
  weights.norm(`${vaePrefix}encoder.norm_out`, channels);
  weights.convolution(`${vaePrefix}encoder.conv_out`, 2 * latentChannels, channels, 3);

  weights.convolution(`${vaePrefix}decoder.conv_in`, channels, latentChannels, 3);
  addVaeMiddle(weights, `${vaePrefix}decoder.mid`, channels);
  for (let level = last; level >= 0; level--) {
    for (let i = 0; i <= resBlocks; i++) {
      addVaeResBlock(weights, `${vaePrefix}decoder.up.${level}.block.${i}`, channels, width(level));
      channels = width(level);
    }
    if (level > 0) weights.convolution(`${vaePrefix}decoder.up.${level}.upsample.conv`, channels, channels, 3);
  }
  weights.norm(`${vaePrefix}decoder.norm_out`, channels);
  weights.convolution(`${vaePrefix}decoder.conv_out`, 3, channels, 3);

  weights.convolution(`${vaePrefix}quant_conv`, 2 * latentChannels, 2 * latentChannels, 1);
  weights.convolution(`${vaePrefix}post_quant_conv`, latentChannels, latentChannels, 1);
}

function addVaeResBlock(weights: Weights, name: string, inputs: number, outputs: number): void {
  weights.norm(`${name}.norm1`, inputs);
  weights.convolution(`${name}.conv1`, outputs, inputs, 3);
  weights.norm(`${name}.norm2`, outputs);
  weights.convolution(`${name}.conv2`, outputs, outputs, 3);
  if (inputs !== outputs) weights.convolution(`${name}.nin_shortcut`, outputs, inputs, 1);
}

function addVaeMiddle(weights: Weights, name: string, channels: number): void {
  addVaeResBlock(weights, `${name}.block_1`, channels, channels);
  weights.norm(`${name}.attn_1.norm`, channels);
  for (const part of ['q', 'k', 'v', 'proj_out']) weights.convolution(`${name}.attn_1.${part}`, channels, channels, 1);
  addVaeResBlock(weights, `${name}.block_2`, channels, channels);
}

function addTextEncoder(weights: Weights, vocabulary: number): void {
  const { width, layers, positions } = weights.architecture.text;
  weights.add(`${textPrefix}embeddings.token_embedding.weight`, [vocabulary, width], 0.02);
  weights.add(`${textPrefix}embeddings.position_embedding.weight`, [positions, width], 0.02);
  for (let i = 0; i < layers; i++) {
    const layer = `${textPrefix}encoder.layers.${i}`;
    for (const part of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) {
      weights.linear(`${layer}.self_attn.${part}`, width, width);
    }
    weights.norm(`${layer}.layer_norm1`, width);
    weights.linear(`${layer}.mlp.fc1`, 4 * width, width);
    weights.linear(`${layer}.mlp.fc2`, width, 4 * width);
    weights.norm(`${layer}.layer_norm2`, width);
  }
  weights.norm(`${textPrefix}final_layer_norm`, width);
}

/** Normal noise by Box and Muller's transform from a 32-bit generator (mulberry32: a Weyl sequence and a mixer). */
function normalNoise(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}
