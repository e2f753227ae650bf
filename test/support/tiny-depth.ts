// Depth networks (DPT) of some hundred kilobytes with the tensor names of transformers or MiDaS, random weights from a seed.

import type { TestTensor } from './safetensors.ts';
import { depthArchitecture } from './tiny-architectures.ts';
import { tinyModel } from './tiny-model.ts';
import { Layers } from './tiny-upscalers.ts';

const WIDTH = 64;
const LAYERS = 4;
/** Places along a side that there are positions for: the network's own size is 64x64 pixels. */
const GRID = 4;
const FEATURES = 32;

/** In transformers' names. */
export function tinyDpt({ hybrid = false } = {}): TestTensor[] {
  const layers = new Layers(hybrid ? 12 : 11);
  const levels = hybrid ? [128, 128, 24, 40] : [16, 24, 32, 40];
  layers.add('dpt.embeddings.cls_token', [1, 1, WIDTH], 0.5);
  layers.add('dpt.embeddings.position_embeddings', [1, 1 + GRID * GRID, WIDTH], 0.5);
  if (hybrid) addBackbone(layers);
  if (hybrid) layers.conv('dpt.embeddings.projection', WIDTH, 128, 1);
  else layers.conv('dpt.embeddings.patch_embeddings.projection', WIDTH, 3, 16);
  for (let i = 0; i < LAYERS; i++) addBlock(layers, `dpt.encoder.layer.${i}`);
  norm(layers, 'dpt.layernorm', WIDTH);
  levels.forEach((channels, i) => {
    if (hybrid && i < 2) return;
    linear(layers, `neck.reassemble_stage.readout_projects.${i}.0`, WIDTH, 2 * WIDTH);
    const name = `neck.reassemble_stage.layers.${i}`;
    layers.conv(`${name}.projection`, channels, WIDTH, 1);
    const side = [4, 2, 0, 3][i] as number;
    if (side > 0) layers.conv(`${name}.resize`, channels, channels, side);
  });
  for (const [i, channels] of levels.entries()) layers.conv(`neck.convs.${i}`, FEATURES, channels, 3, false);
  for (let i = 0; i < 4; i++) addFusion(layers, `neck.fusion_stage.layers.${i}`);
  layers.conv('head.head.0', FEATURES / 2, FEATURES);
  layers.conv('head.head.2', 32, FEATURES / 2);
  layers.conv('head.head.4', 1, 32, 1);
  // A last layer above zero most of the time, for the network ends in a ReLU.
  for (const { name, values } of layers.tensors) if (name === 'head.head.4.bias') (values as Float32Array).fill(0.8);
  return layers.tensors;
}

function norm(layers: Layers, name: string, channels: number): void {
  layers.add(`${name}.weight`, [channels], 0.1, 1);
  layers.add(`${name}.bias`, [channels], 0.1);
}

function linear(layers: Layers, name: string, outputs: number, inputs: number): void {
  layers.add(`${name}.weight`, [outputs, inputs], 1 / Math.sqrt(inputs));
  layers.add(`${name}.bias`, [outputs], 0.05);
}

function addBackbone(layers: Layers): void {
  const bit = 'dpt.embeddings.backbone.bit';
  layers.conv(`${bit}.embedder.convolution`, 32, 3, 7, false);
  norm(layers, `${bit}.embedder.norm`, 32);
  let inputs = 32;
  [1, 2, 1].forEach((blocks, stage) => {
    for (let i = 0; i < blocks; i++) {
      const name = `${bit}.encoder.stages.${stage}.layers.${i}`;
      const convolutions = [
        ['1', 32, inputs, 1],
        ['2', 32, 32, 3],
        ['3', 128, 32, 1],
      ] as const;
      for (const [number, outputs, from, side] of convolutions) {
        layers.conv(`${name}.conv${number}`, outputs, from, side, false);
        norm(layers, `${name}.norm${number}`, outputs);
      }
      if (i === 0) {
        layers.conv(`${name}.downsample.conv`, 128, inputs, 1, false);
        norm(layers, `${name}.downsample.norm`, 128);
      }
      inputs = 128;
    }
  });
}

function addBlock(layers: Layers, name: string): void {
  for (const part of ['query', 'key', 'value']) linear(layers, `${name}.attention.attention.${part}`, WIDTH, WIDTH);
  linear(layers, `${name}.attention.output.dense`, WIDTH, WIDTH);
  linear(layers, `${name}.intermediate.dense`, 2 * WIDTH, WIDTH);
  linear(layers, `${name}.output.dense`, WIDTH, 2 * WIDTH);
  for (const place of ['before', 'after']) norm(layers, `${name}.layernorm_${place}`, WIDTH);
}

function addFusion(layers: Layers, name: string): void {
  for (const unit of [1, 2]) {
    for (const i of [1, 2]) layers.conv(`${name}.residual_layer${unit}.convolution${i}`, FEATURES, FEATURES);
  }
  layers.conv(`${name}.projection`, FEATURES, FEATURES, 1);
}

/** Names of transformers to those of MiDaS; queries, keys and values in one tensor, and the classifier that its files have. */
export function midasNames(tensors: readonly TestTensor[]): TestTensor[] {
  const parts = tensors.filter(({ name }) => !name.includes('.attention.attention.'));
  const renamed = parts.map((tensor) => ({ ...tensor, name: midasName(tensor.name) }));
  for (let i = 0; i < LAYERS; i++) {
    for (const kind of ['weight', 'bias']) {
      const all = ['query', 'key', 'value'].map((part) =>
        tensors.find(({ name }) => name === `dpt.encoder.layer.${i}.attention.attention.${part}.${kind}`),
      ) as TestTensor[];
      const values = Float32Array.from(all.flatMap((tensor) => [...tensor.values]));
      const shape = kind === 'weight' ? [3 * WIDTH, WIDTH] : [3 * WIDTH];
      renamed.push({ name: `pretrained.model.blocks.${i}.attn.qkv.${kind}`, dtype: 'f32', shape, values });
    }
  }
  const head = { name: 'pretrained.model.head.bias', dtype: 'f32', shape: [10], values: new Float32Array(10) } as const;
  return [...renamed, { ...head, shape: [10] }];
}

/** The paths of a tiny depth model and of its depth network. */
export function tinyDepthModel(vocabulary = 1000): string {
  const beside = midasNames(tinyDpt({ hybrid: true })).map((tensor) => ({
    ...tensor,
    name: `depth_model.model.${tensor.name}`,
  }));
  return tinyModel({ architecture: depthArchitecture, vocabulary, edit: (tensors) => [...tensors, ...beside] }).path;
}

function midasName(name: string): string {
  return name
    .replace('dpt.embeddings.backbone.bit.embedder.convolution', 'pretrained.model.patch_embed.backbone.stem.conv')
    .replace('dpt.embeddings.backbone.bit.embedder', 'pretrained.model.patch_embed.backbone.stem')
    .replace(
      /^dpt\.embeddings\.backbone\.bit\.encoder\.stages\.(\d)\.layers/,
      'pretrained.model.patch_embed.backbone.stages.$1.blocks',
    )
    .replace(/^dpt\.embeddings\.(patch_embeddings\.)?projection/, 'pretrained.model.patch_embed.proj')
    .replace('dpt.embeddings.position_embeddings', 'pretrained.model.pos_embed')
    .replace('dpt.embeddings.', 'pretrained.model.')
    .replace('dpt.layernorm', 'pretrained.model.norm')
    .replace('dpt.encoder.layer.', 'pretrained.model.blocks.')
    .replace('attention.output.dense', 'attn.proj')
    .replace('intermediate.dense', 'mlp.fc1')
    .replace('output.dense', 'mlp.fc2')
    .replace('layernorm_before', 'norm1')
    .replace('layernorm_after', 'norm2')
    .replace(/^neck\.convs\.(\d)/, (_, i) => `scratch.layer${Number(i) + 1}_rn`)
    .replace(/^neck\.fusion_stage\.layers\.(\d)/, (_, i) => `scratch.refinenet${4 - Number(i)}`)
    .replace(/residual_layer(\d)\.convolution/, 'resConfUnit$1.conv')
    .replace(
      /^neck\.reassemble_stage\.readout_projects\.(\d)\.0/,
      (_, i) => `pretrained.act_postprocess${Number(i) + 1}.0.project.0`,
    )
    .replace(
      /^neck\.reassemble_stage\.layers\.(\d)\.(projection|resize)/,
      (_, i, part) => `pretrained.act_postprocess${Number(i) + 1}.${part === 'resize' ? 4 : 3}`,
    )
    .replace(/^(scratch\.refinenet\d)\.projection/, '$1.out_conv')
    .replace('head.head', 'scratch.output_conv');
}
