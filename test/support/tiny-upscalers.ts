// Upscalers of a few kilobytes with the tensor names of BasicSR, random weights from a seed.

import { join } from 'node:path';
import { type TestTensor, writeSafetensors } from './safetensors.ts';
import { normalNoise, temporaryFolder } from './tiny-model.ts';

/** A list of tensors under construction, of values that neither vanish nor explode through the layers. */
export class Layers {
  readonly tensors: TestTensor[] = [];
  readonly #normal: () => number;

  constructor(seed: number) {
    this.#normal = normalNoise(seed);
  }

  add(name: string, shape: number[], scale: number, mean = 0): void {
    const length = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length }, () => mean + scale * this.#normal());
    this.tensors.push({ name, dtype: 'f32', shape, values });
  }

  conv(name: string, outputs: number, inputs: number, side = 3, bias = true): void {
    this.add(`${name}.weight`, [outputs, inputs, side, side], 1 / Math.sqrt(side * side * inputs));
    if (bias) this.add(`${name}.bias`, [outputs], 0.05);
  }
}

/**
 * An RRDBNet.
 *
 * @param unshuffle side of the squares of pixels that become channels at the start.
 * @param doublings how often it doubles the size at the end.
 */
export function tinyRrdbNet({
  blocks = 2,
  channels = 12,
  growth = 32,
  unshuffle = 1,
  doublings = 2,
} = {}): TestTensor[] {
  const layers = new Layers(7);
  layers.conv('conv_first', channels, 3 * unshuffle ** 2);
  for (let block = 0; block < blocks; block++) {
    for (const dense of [1, 2, 3]) {
      for (const i of [0, 1, 2, 3, 4]) {
        const name = `body.${block}.rdb${dense}.conv${i + 1}`;
        layers.conv(name, i < 4 ? growth : channels, channels + i * growth);
      }
    }
  }
  layers.conv('conv_body', channels, channels);
  for (let i = 1; i <= doublings; i++) layers.conv(`conv_up${i}`, channels, channels);
  layers.conv('conv_hr', channels, channels);
  layers.conv('conv_last', 3, channels);
  return layers.tensors;
}

/** An SRVGGNetCompact. */
export function tinyCompactNet({ convolutions = 3, channels = 10, scale = 3 } = {}): TestTensor[] {
  const layers = new Layers(8);
  for (let i = 0; i <= convolutions; i++) {
    layers.conv(`body.${2 * i}`, channels, i === 0 ? 3 : channels);
    layers.add(`body.${2 * i + 1}.weight`, [channels], 0.1, 0.2);
  }
  layers.conv(`body.${2 * convolutions + 2}`, 3 * scale ** 2, channels);
  return layers.tensors;
}

/** Canonical names to those of models trained before ESRGAN's first release: the place in one sequence. */
export function sequenceNames(tensors: readonly TestTensor[]): TestTensor[] {
  const blocks = 1 + Math.max(...tensors.map(({ name }) => Number(/^body\.(\d+)/.exec(name)?.[1] ?? 0)));
  const doublings = tensors.filter(({ name }) => /^conv_up\d+\.weight/.test(name)).length;
  const after = 3 * doublings + 2;
  return tensors.map((tensor) => ({
    ...tensor,
    name: tensor.name
      .replace('conv_first.', 'model.0.')
      .replace(/^body\.(\d+)\.rdb(\d)\.conv(\d)\./, 'model.1.sub.$1.RDB$2.conv$3.0.')
      .replace('conv_body.', `model.1.sub.${blocks}.`)
      .replace(/^conv_up(\d)\./, (_, i) => `model.${3 * Number(i)}.`)
      .replace('conv_hr.', `model.${after}.`)
      .replace('conv_last.', `model.${after + 2}.`),
  }));
}

/** Canonical names to those of ESRGAN's first release. */
export function releaseNames(tensors: readonly TestTensor[]): TestTensor[] {
  return tensors.map((tensor) => ({
    ...tensor,
    name: tensor.name
      .replace(/^body\.(\d+)\.rdb/, 'RRDB_trunk.$1.RDB')
      .replace('conv_body.', 'trunk_conv.')
      .replace('conv_up', 'upconv')
      .replace('conv_hr.', 'HRconv.'),
  }));
}

let count = 0;

/** Writes tensors into a folder that goes away with the process. */
export function writeUpscaler(tensors: readonly TestTensor[]): string {
  const path = join(temporaryFolder(), `upscaler-${count++}.safetensors`);
  writeSafetensors(path, tensors);
  return path;
}
