// Checkpoints of a few megabytes with the tensor names of Stable Diffusion (LDM layout), random weights from a seed.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type TestTensor, writeSafetensors } from './safetensors.ts';
import { type TinyModelArchitecture, type TinyTextEncoder, tinyArchitecture } from './tiny-architectures.ts';

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

export const unetPrefix = 'model.diffusion_model.';
const vaePrefix = 'first_stage_model.';
const textPrefix = 'cond_stage_model.transformer.text_model.';

export const latentChannels = 4;

/** Writes a tiny model into a folder that goes away with the process. */
export function tinyModel(options: TinyModelOptions = {}): { path: string; sizes: TinyModelSizes } {
  const {
    seed = 1,
    dtype = 'f32',
    vocabulary = 1000,
    architecture = tinyArchitecture,
    edit = (tensors) => tensors,
    metadata,
  } = options;
  const { unet, vae, text = { positions: 0, layers: 0, width: 0 } } = architecture;
  const weights = new Weights(seed, dtype, architecture);
  addUnet(weights);
  addVae(weights);
  addTextEncoders(weights, vocabulary);
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
export class Weights {
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

  convolution(name: string, outputs: number, inputs: number, side: number, gain = 0.7): void {
    this.add(`${name}.weight`, [outputs, inputs, side, side], gain / Math.sqrt(inputs * side * side));
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

export function addUnet(weights: Weights): void {
  const { unet } = weights.architecture;
  const { modelChannels, channelMult, attention, resBlocks, depth = channelMult.map(() => 1) } = unet;
  const { outputDepth = depth, inChannels = latentChannels, gaps = false, vectorSize, guidanceSize } = unet;
  const timeChannels = 4 * modelChannels;
  const block = (name: string, inputs: number, outputs: number, transformers: number): void => {
    addUnetResBlock(weights, `${unetPrefix}${name}.0`, inputs, outputs, timeChannels);
    if (transformers) addTransformer(weights, `${unetPrefix}${name}.1`, outputs, transformers);
  };
  const depthOf = (depths: number[], level: number): number => (attention[level] ? (depths[level] as number) : 0);
  weights.linear(`${unetPrefix}time_embed.0`, timeChannels, modelChannels);
  weights.linear(`${unetPrefix}time_embed.2`, timeChannels, timeChannels);
  if (guidanceSize) weights.linear(`${unetPrefix}time_embed.cond_proj`, modelChannels, guidanceSize, false);
  if (vectorSize) {
    weights.linear(`${unetPrefix}label_emb.0.0`, timeChannels, vectorSize);
    weights.linear(`${unetPrefix}label_emb.0.2`, timeChannels, timeChannels);
  }

  weights.convolution(`${unetPrefix}input_blocks.0.0`, modelChannels, inChannels, 3);
  let channels = modelChannels;
  const skips = [channels];
  let index = 1;
  channelMult.forEach((mult, level) => {
    for (let i = 0; i < resBlocks; i++, index++) {
      block(`input_blocks.${index}`, channels, mult * modelChannels, depthOf(depth, level));
      channels = mult * modelChannels;
      skips.push(channels);
    }
    if (gaps) index++;
    if (level === channelMult.length - 1) return;
    weights.convolution(`${unetPrefix}input_blocks.${index++}.0.op`, channels, channels, 3);
    skips.push(channels);
  });

  const last = channelMult.length - 1;
  if (unet.middle !== 'none') block('middle_block', channels, channels, unet.middle ? 0 : (depth[last] as number));
  if (!unet.middle) addUnetResBlock(weights, `${unetPrefix}middle_block.2`, channels, channels, timeChannels);

  index = 0;
  for (let level = last; level >= 0; level--) {
    const transformers = depthOf(outputDepth, level);
    for (let i = 0; i <= resBlocks; i++, index++) {
      const outputs = (channelMult[level] as number) * modelChannels;
      block(`output_blocks.${index}`, channels + (skips.pop() as number), outputs, transformers);
      channels = outputs;
    }
    // A part of the level's last block, or alone in the place of a block that is missing.
    const place = gaps ? `${index++}.${level === last ? 1 : 2}` : `${index - 1}.${transformers ? 2 : 1}`;
    if (level > 0) weights.convolution(`${unetPrefix}output_blocks.${place}.conv`, channels, channels, 3);
  }
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

function addTransformer(weights: Weights, name: string, channels: number, depth: number): void {
  const project = (part: string): void => {
    if (weights.architecture.unet.linear) weights.linear(`${name}.${part}`, channels, channels);
    else weights.convolution(`${name}.${part}`, channels, channels, 1);
  };
  weights.norm(`${name}.norm`, channels);
  project('proj_in');
  for (let i = 0; i < depth; i++) addTransformerBlock(weights, `${name}.transformer_blocks.${i}`, channels);
  project('proj_out');
}

function addTransformerBlock(weights: Weights, block: string, channels: number): void {
  const { text, text2 } = weights.architecture;
  for (const [attention, contextSize] of [
    ['attn1', channels],
    ['attn2', (text?.width ?? 0) + (text2?.width ?? 0)],
  ] as const) {
    weights.linear(`${block}.${attention}.to_q`, channels, channels, false);
    weights.linear(`${block}.${attention}.to_k`, channels, contextSize, false);
    weights.linear(`${block}.${attention}.to_v`, channels, contextSize, false);
    weights.linear(`${block}.${attention}.to_out.0`, channels, channels);
  }
  weights.linear(`${block}.ff.net.0.proj`, 8 * channels, channels); // GEGLU: half of the 8 is the gate
  weights.linear(`${block}.ff.net.2`, channels, 4 * channels);
  for (const norm of ['norm1', 'norm2', 'norm3']) weights.norm(`${block}.${norm}`, channels);
}

/** @param quant whether it has the layers of quantization, which those of 16 channels lack. */
export function addVae(weights: Weights, latents = latentChannels, prefix = vaePrefix, quant = true): void {
  const { channels: base, channelMult, resBlocks } = weights.architecture.vae;
  const last = channelMult.length - 1;
  const width = (level: number): number => base * (channelMult[level] as number);

  weights.convolution(`${prefix}encoder.conv_in`, base, 3, 3);
  let channels = base;
  for (let level = 0; level <= last; level++) {
    for (let i = 0; i < resBlocks; i++) {
      addVaeResBlock(weights, `${prefix}encoder.down.${level}.block.${i}`, channels, width(level));
      channels = width(level);
    }
    if (level < last) weights.convolution(`${prefix}encoder.down.${level}.downsample.conv`, channels, channels, 3);
  }
  addVaeMiddle(weights, `${prefix}encoder.mid`, channels);
  weights.norm(`${prefix}encoder.norm_out`, channels);
  weights.convolution(`${prefix}encoder.conv_out`, 2 * latents, channels, 3);

  weights.convolution(`${prefix}decoder.conv_in`, channels, latents, 3);
  addVaeMiddle(weights, `${prefix}decoder.mid`, channels);
  for (let level = last; level >= 0; level--) {
    for (let i = 0; i <= resBlocks; i++) {
      addVaeResBlock(weights, `${prefix}decoder.up.${level}.block.${i}`, channels, width(level));
      channels = width(level);
    }
    if (level > 0) weights.convolution(`${prefix}decoder.up.${level}.upsample.conv`, channels, channels, 3);
  }
  weights.norm(`${prefix}decoder.norm_out`, channels);
  weights.convolution(`${prefix}decoder.conv_out`, 3, channels, 3);

  if (!quant) return;
  weights.convolution(`${prefix}quant_conv`, 2 * latents, 2 * latents, 1);
  weights.convolution(`${prefix}post_quant_conv`, latents, latents, 1);
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

function addTextEncoders(weights: Weights, vocabulary: number): void {
  const { text, text2 } = weights.architecture;
  const xl = text2 !== undefined;
  if (text?.openClip) addOpenClip(weights, 'cond_stage_model.model.', text, vocabulary);
  else if (text)
    addClip(weights, xl ? 'conditioner.embedders.0.transformer.text_model.' : textPrefix, text, vocabulary);
  if (text2) addOpenClip(weights, `conditioner.embedders.${text ? 1 : 0}.model.`, text2, vocabulary);
}

function addClip(weights: Weights, prefix: string, text: TinyTextEncoder, vocabulary: number): void {
  const { width, layers, positions } = text;
  weights.add(`${prefix}embeddings.token_embedding.weight`, [vocabulary, width], 0.02);
  weights.add(`${prefix}embeddings.position_embedding.weight`, [positions, width], 0.02);
  for (let i = 0; i < layers; i++) {
    const layer = `${prefix}encoder.layers.${i}`;
    for (const part of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) {
      weights.linear(`${layer}.self_attn.${part}`, width, width);
    }
    weights.norm(`${layer}.layer_norm1`, width);
    weights.linear(`${layer}.mlp.fc1`, 4 * width, width);
    weights.linear(`${layer}.mlp.fc2`, width, 4 * width);
    weights.norm(`${layer}.layer_norm2`, width);
  }
  weights.norm(`${prefix}final_layer_norm`, width);
}

function addOpenClip(weights: Weights, prefix: string, text: TinyTextEncoder, vocabulary: number): void {
  const { width, layers, positions } = text;
  weights.add(`${prefix}token_embedding.weight`, [vocabulary, width], 0.02);
  weights.add(`${prefix}positional_embedding`, [positions, width], 0.02);
  for (let i = 0; i < layers; i++) {
    const layer = `${prefix}transformer.resblocks.${i}`;
    weights.add(`${layer}.attn.in_proj_weight`, [3 * width, width], 0.7 / Math.sqrt(width));
    weights.add(`${layer}.attn.in_proj_bias`, [3 * width], 0.01);
    weights.linear(`${layer}.attn.out_proj`, width, width);
    weights.norm(`${layer}.ln_1`, width);
    weights.norm(`${layer}.ln_2`, width);
    weights.linear(`${layer}.mlp.c_fc`, 4 * width, width);
    weights.linear(`${layer}.mlp.c_proj`, width, 4 * width);
  }
  weights.norm(`${prefix}ln_final`, width);
  weights.add(`${prefix}text_projection`, [width, width], 0.7 / Math.sqrt(width));
  weights.add(`${prefix}logit_scale`, [], 1);
}

/** Normal noise by Box and Muller's transform from a 32-bit generator (mulberry32: a Weyl sequence and a mixer). */
export function normalNoise(seed: number): () => number {
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
