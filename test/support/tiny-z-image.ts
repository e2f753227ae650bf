// Writes tiny models of the architecture of Z-Image, with random weights: a denoiser, a language model and a VAE, each in a file
// of its own, under the names of the published files or under those of diffusers.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestTensor, writeSafetensors } from './safetensors.ts';
import { tinyArchitecture } from './tiny-architectures.ts';
import { addVae, temporaryFolder, Weights } from './tiny-model.ts';

/** Sizes, as z_image.py has them. The vocabulary is that of Qwen, whose tokenizer the package has. */
export const Z_IMAGE = {
  denoiser: { width: 96, headSize: 32, layers: 2, refiners: 1, intermediate: 256, timeSize: 96, timeHidden: 1024 },
  language: { width: 32, headSize: 32, heads: 4, keyHeads: 2, layers: 3, intermediate: 96, vocabulary: 151_936 },
  vae: { channels: 32, channelMult: [1, 1, 2, 2], resBlocks: 1 },
  latentChannels: 16,
};

/** The networks, and where a diffusers folder has each. */
export const Z_IMAGE_PARTS = {
  denoiser: ['transformer', 'diffusion_pytorch_model'],
  language: ['text_encoder', 'model'],
  vae: ['vae', 'diffusion_pytorch_model'],
} as const;

export type ZImagePart = keyof typeof Z_IMAGE_PARTS;
export type ZImageTensors = Readonly<Record<ZImagePart, readonly TestTensor[]>>;

let made: ZImageTensors | undefined;

/** The tensors of each network under the names of the published files: joint queries, keys and values; no quantization layers. */
export function zImageTensors(): ZImageTensors {
  made ??= { denoiser: denoiser(), language: language(), vae: vae() };
  return made;
}

let written: Readonly<Record<ZImagePart, string>> | undefined;

/** The files of the parts; written once. */
export function tinyZImage(): Readonly<Record<ZImagePart, string>> {
  const { denoiser, language, vae } = zImageTensors();
  written ??= { denoiser: writePart(denoiser), language: writePart(language), vae: writePart(vae) };
  return written;
}

/** Writes tensors into a new file. */
export function writePart(tensors: readonly TestTensor[]): string {
  const path = join(newFolder(), 'part.safetensors');
  writeSafetensors(path, tensors);
  return path;
}

/** Writes a diffusers folder, with the names of diffusers and transformers. */
export function zImageFolder(tensors: ZImageTensors = zImageTensors()): string {
  const folder = newFolder();
  const named: ZImageTensors = {
    denoiser: tensors.denoiser.flatMap(diffusersDenoiser),
    language: tensors.language,
    vae: tensors.vae.map(diffusersVae),
  };
  for (const [part, [place, stem]] of Object.entries(Z_IMAGE_PARTS)) {
    mkdirSync(join(folder, place));
    writeSafetensors(join(folder, place, `${stem}.safetensors`), named[part as ZImagePart]);
  }
  return folder;
}

/** The names of ComfyUI-GGUF and llama.cpp. */
export function ggufNames(tensors: ZImageTensors): ZImageTensors {
  const language = tensors.language.map((tensor) => ({ ...tensor, name: llamaName(tensor.name) }));
  return { ...tensors, language };
}

let folders = 0;

function newFolder(): string {
  const folder = join(temporaryFolder(), `z-image-${folders++}`);
  mkdirSync(folder);
  return folder;
}

function denoiser(): TestTensor[] {
  const { width, headSize, layers, refiners, intermediate, timeSize, timeHidden } = Z_IMAGE.denoiser;
  const weights = new Weights(7, 'f32', tinyArchitecture);
  const vector = (name: string, size: number) => weights.add(`${name}.weight`, [size], 0.2, 1);
  const block = (name: string, modulated: boolean) => {
    weights.linear(`${name}.attention.qkv`, 3 * width, width, false);
    weights.linear(`${name}.attention.out`, width, width, false);
    for (const norm of ['q_norm', 'k_norm']) vector(`${name}.attention.${norm}`, headSize);
    for (const norm of ['attention_norm1', 'attention_norm2', 'ffn_norm1', 'ffn_norm2'])
      vector(`${name}.${norm}`, width);
    weights.linear(`${name}.feed_forward.w1`, intermediate, width, false);
    weights.linear(`${name}.feed_forward.w2`, width, intermediate, false);
    weights.linear(`${name}.feed_forward.w3`, intermediate, width, false);
    if (modulated) weights.linear(`${name}.adaLN_modulation.0`, 4 * width, timeSize);
  };
  const patch = 4 * Z_IMAGE.latentChannels;
  weights.linear('x_embedder', width, patch);
  weights.linear('t_embedder.mlp.0', timeHidden, 256);
  weights.linear('t_embedder.mlp.2', timeSize, timeHidden);
  vector('cap_embedder.0', Z_IMAGE.language.width);
  weights.linear('cap_embedder.1', width, Z_IMAGE.language.width);
  weights.add('x_pad_token', [1, width], 1);
  weights.add('cap_pad_token', [1, width], 1);
  for (let i = 0; i < refiners; i++) block(`noise_refiner.${i}`, true);
  for (let i = 0; i < refiners; i++) block(`context_refiner.${i}`, false);
  for (let i = 0; i < layers; i++) block(`layers.${i}`, true);
  weights.linear('final_layer.adaLN_modulation.1', width, timeSize);
  weights.linear('final_layer.linear', patch, width);
  return weights.tensors;
}

function language(): TestTensor[] {
  const { width, headSize, heads, keyHeads, layers, intermediate, vocabulary } = Z_IMAGE.language;
  const weights = new Weights(8, 'f32', tinyArchitecture);
  const table = new Weights(9, 'f16', tinyArchitecture);
  table.add('model.embed_tokens.weight', [vocabulary, width], 0.5);
  for (let i = 0; i < layers; i++) {
    const name = `model.layers.${i}`;
    weights.add(`${name}.input_layernorm.weight`, [width], 0.2, 1);
    weights.linear(`${name}.self_attn.q_proj`, heads * headSize, width, false);
    weights.linear(`${name}.self_attn.k_proj`, keyHeads * headSize, width, false);
    weights.linear(`${name}.self_attn.v_proj`, keyHeads * headSize, width, false);
    weights.linear(`${name}.self_attn.o_proj`, width, heads * headSize, false);
    weights.add(`${name}.self_attn.q_norm.weight`, [headSize], 0.2, 1);
    weights.add(`${name}.self_attn.k_norm.weight`, [headSize], 0.2, 1);
    weights.add(`${name}.post_attention_layernorm.weight`, [width], 0.2, 1);
    weights.linear(`${name}.mlp.gate_proj`, intermediate, width, false);
    weights.linear(`${name}.mlp.up_proj`, intermediate, width, false);
    weights.linear(`${name}.mlp.down_proj`, width, intermediate, false);
  }
  weights.add('model.norm.weight', [width], 0.2, 1);
  return [...table.tensors, ...weights.tensors];
}

function vae(): TestTensor[] {
  const weights = new Weights(10, 'f32', { ...tinyArchitecture, vae: Z_IMAGE.vae });
  addVae(weights, Z_IMAGE.latentChannels, '', false);
  return weights.tensors;
}

const DENOISER_NAMES: readonly (readonly [RegExp, string])[] = [
  [/^x_embedder\./, 'all_x_embedder.2-1.'],
  [/^final_layer\./, 'all_final_layer.2-1.'],
  [/\.attention\.out\./, '.attention.to_out.0.'],
  [/\.attention\.q_norm\./, '.attention.norm_q.'],
  [/\.attention\.k_norm\./, '.attention.norm_k.'],
];

function diffusersDenoiser(tensor: TestTensor): TestTensor[] {
  if (!tensor.name.includes('.attention.qkv.')) {
    const name = DENOISER_NAMES.reduce((text, [from, to]) => text.replace(from, to), tensor.name);
    return [{ ...tensor, name }];
  }
  const [rows = 0, columns = 0] = tensor.shape;
  const part = (i: number) => tensor.values.subarray((i * rows * columns) / 3, ((i + 1) * rows * columns) / 3);
  return ['to_q', 'to_k', 'to_v'].map((name, i) => ({
    ...tensor,
    name: tensor.name.replace('qkv', name),
    shape: [rows / 3, columns],
    values: part(i),
  }));
}

/** As diffusers' own converter names them. */
function diffusersVae(tensor: TestTensor): TestTensor {
  const last = Z_IMAGE.vae.channelMult.length - 1;
  const names: readonly (readonly [RegExp, string | ((...parts: string[]) => string)])[] = [
    [/^encoder\.down\.(\d+)\.block\./, 'encoder.down_blocks.$1.resnets.'],
    [/^encoder\.down\.(\d+)\.downsample\./, 'encoder.down_blocks.$1.downsamplers.0.'],
    [/^decoder\.up\.(\d+)\.block\./, (_, level) => `decoder.up_blocks.${last - Number(level)}.resnets.`],
    [/^decoder\.up\.(\d+)\.upsample\./, (_, level) => `decoder.up_blocks.${last - Number(level)}.upsamplers.0.`],
    [/\.mid\.block_(\d)\./, (_, block) => `.mid_block.resnets.${Number(block) - 1}.`],
    [/\.mid\.attn_1\.norm\./, '.mid_block.attentions.0.group_norm.'],
    [/\.mid\.attn_1\.([qkv])\./, '.mid_block.attentions.0.to_$1.'],
    [/\.mid\.attn_1\.proj_out\./, '.mid_block.attentions.0.to_out.0.'],
    [/\.norm_out\./, '.conv_norm_out.'],
    [/\.nin_shortcut\./, '.conv_shortcut.'],
  ];
  const name = names.reduce((text, [from, to]) => text.replace(from, to as string), tensor.name);
  return { ...tensor, name, shape: name.includes('.attentions.') ? tensor.shape.slice(0, 2) : tensor.shape };
}

const LLAMA_NAMES: readonly (readonly [string, string])[] = [
  ['model.embed_tokens.', 'token_embd.'],
  ['model.norm.', 'output_norm.'],
  ['model.layers.', 'blk.'],
  ['input_layernorm', 'attn_norm'],
  ['self_attn.q_proj', 'attn_q'],
  ['self_attn.k_proj', 'attn_k'],
  ['self_attn.v_proj', 'attn_v'],
  ['self_attn.o_proj', 'attn_output'],
  ['self_attn.q_norm', 'attn_q_norm'],
  ['self_attn.k_norm', 'attn_k_norm'],
  ['post_attention_layernorm', 'ffn_norm'],
  ['mlp.gate_proj', 'ffn_gate'],
  ['mlp.up_proj', 'ffn_up'],
  ['mlp.down_proj', 'ffn_down'],
];

function llamaName(name: string): string {
  return LLAMA_NAMES.reduce((text, [from, to]) => text.replace(from, to), name);
}
