// Tiny autoencoders (TAESD) with the tensor names of diffusers, random weights from a seed.

import { join } from 'node:path';
import { type TestTensor, writeSafetensors } from './safetensors.ts';
import { temporaryFolder } from './tiny-model.ts';
import { Layers } from './tiny-upscalers.ts';

/** Blocks between two changes of size, in the encoder and the decoder. */
export interface TinyAutoencoderSizes {
  readonly channels?: number;
  readonly latentChannels?: number;
  readonly encoderBlocks?: readonly number[];
  readonly decoderBlocks?: readonly number[];
}

/** A tiny autoencoder of few channels; by default with the layers of TAESD. */
export function tinyAutoencoder({
  channels = 8,
  latentChannels = 4,
  encoderBlocks = [1, 3, 3, 3],
  decoderBlocks = [3, 3, 3, 1],
}: TinyAutoencoderSizes = {}): TestTensor[] {
  const layers = new Layers(9);
  const block = (name: string) => {
    for (const i of [0, 2, 4]) layers.conv(`${name}.conv.${i}`, channels, channels);
  };
  const half = (name: string, from: number, to: number, blocks: readonly number[], upsampling: boolean) => {
    let place = 0;
    const next = () => `${name}.layers.${place++}`;
    layers.conv(next(), channels, from);
    if (upsampling) place++; // the ReLU behind it
    for (const [level, count] of blocks.entries()) {
      if (level > 0) {
        if (upsampling) place++;
        layers.add(`${next()}.weight`, [channels, channels, 3, 3], 1 / Math.sqrt(9 * channels));
      }
      for (let i = 0; i < count; i++) block(next());
    }
    layers.conv(next(), to, channels);
  };
  half('encoder', 3, latentChannels, encoderBlocks, false);
  half('decoder', latentChannels, 3, decoderBlocks, true);
  return layers.tensors;
}

/** One half under the names of TAESD's own files: places in a sequence, which begins with a clamp in the decoder. */
export function placeNames(tensors: readonly TestTensor[], half: 'encoder' | 'decoder'): TestTensor[] {
  const prefix = `${half}.layers.`;
  const shift = half === 'decoder' ? 1 : 0;
  return tensors
    .filter(({ name }) => name.startsWith(prefix))
    .map((tensor) => ({
      ...tensor,
      name: tensor.name.slice(prefix.length).replace(/^\d+/, (place) => String(Number(place) + shift)),
    }));
}

let count = 0;

/** Writes tensors into a folder that goes away with the process. */
export function writeTinyAutoencoder(tensors: readonly TestTensor[]): string {
  const path = join(temporaryFolder(), `taesd-${count++}.safetensors`);
  writeSafetensors(path, tensors);
  return path;
}
