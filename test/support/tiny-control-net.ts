// ControlNets of a few megabytes for the tiny models, in the original names, random weights from a seed.

import { join } from 'node:path';
import { type TestTensor, writeSafetensors } from './safetensors.ts';
import { type TinyModelArchitecture, tinyArchitecture } from './tiny-architectures.ts';
import { addUnet, temporaryFolder, unetPrefix, Weights } from './tiny-model.ts';

export interface TinyControlNetOptions {
  /** Equal seeds give equal files. Default 2. */
  seed?: number;
  /** Of the model that it is for. Default `tinyArchitecture`. */
  architecture?: TinyModelArchitecture;
  /** Last change before writing. */
  edit?: (tensors: TestTensor[]) => TestTensor[];
}

const prefix = 'control_model.';
/** Keeps the image from fading on its way through the layers without norms. */
const HINT_GAIN = 2;
let count = 0;

/** Writes a ControlNet into a folder that goes away with the process. */
export function tinyControlNet(options: TinyControlNetOptions = {}): string {
  const { edit = (tensors) => tensors } = options;
  const path = join(temporaryFolder(), `control-${count++}.safetensors`);
  writeSafetensors(path, edit(controlTensors(options)));
  return path;
}

function controlTensors({ seed = 2, architecture = tinyArchitecture }: TinyControlNetOptions): TestTensor[] {
  const unet = new Weights(seed, 'f32', architecture);
  addUnet(unet);
  const half = unet.tensors.filter(({ name }) => !/^(output_blocks|out)\./.test(name.slice(unetPrefix.length)));
  const own = new Weights(seed + 1000, 'f32', architecture);
  const { modelChannels, channelMult, resBlocks } = architecture.unet;

  const halvings = architecture.vae.channelMult.length - 1;
  const hints = [16, ...Array.from({ length: halvings }, (_, i) => [16 * (i + 1), 16 * (i + 2)]).flat(), modelChannels];
  let channels = 3;
  for (const [i, outputs] of hints.entries()) {
    own.convolution(`${prefix}input_hint_block.${2 * i}`, outputs, channels, 3, HINT_GAIN);
    channels = outputs;
  }

  const last = channelMult.length - 1;
  const levels = channelMult.flatMap((mult, level) =>
    Array.from({ length: level < last ? resBlocks + 1 : resBlocks }, () => mult * modelChannels),
  );
  for (const [i, size] of [modelChannels, ...levels].entries()) {
    own.convolution(`${prefix}zero_convs.${i}.0`, size, size, 1);
  }
  const deepest = levels.at(-1) as number;
  own.convolution(`${prefix}middle_block_out.0`, deepest, deepest, 1);
  return [...half.map((t) => ({ ...t, name: prefix + t.name.slice(unetPrefix.length) })), ...own.tensors];
}
