// All flags of the command line. Those that are not options of a task are defined here.

import { PRECISIONS } from '../loading/load-options.ts';
import { CONVERSION_TYPES } from '../loading/weight-types.ts';
import { type CommandName, type Flag, GENERATION_COMMANDS } from './flag.ts';
import { CONTROL_FLAGS, rowFlags } from './option-flags.ts';
import { PROGRESS_KINDS } from './progress.ts';
import { SERVE_FLAGS } from './serve-flags.ts';

const COMPUTING: readonly CommandName[] = [...GENERATION_COMMANDS, 'upscale', 'depth'];
const WRITING: readonly CommandName[] = [...COMPUTING, 'convert'];
const EVERY: readonly CommandName[] = [...WRITING, 'inspect', 'devices', 'metadata', 'serve'];
const LOADING: readonly CommandName[] = [...GENERATION_COMMANDS, 'serve'];
const WITH_MODEL: readonly CommandName[] = [...LOADING, 'inspect', 'convert'];

const MODEL_FLAGS: readonly Flag[] = [
  {
    name: 'model',
    alias: 'm',
    kind: 'text',
    topic: 'model',
    common: true,
    option: 'model',
    on: WITH_MODEL,
    description: 'model file or folder (default: the small one inside)',
  },
  {
    name: 'diffusion-model',
    kind: 'text',
    topic: 'model',
    option: 'unet',
    on: WITH_MODEL,
    description: 'file of the UNet or transformer, instead of that in --model',
  },
  {
    name: 'clip_l',
    kind: 'text',
    topic: 'model',
    option: 'textEncoder',
    on: WITH_MODEL,
    description: 'file of the text encoder, instead of that in --model',
  },
  {
    name: 'clip_g',
    kind: 'text',
    topic: 'model',
    option: 'textEncoder2',
    on: WITH_MODEL,
    description: 'file of the second text encoder of SDXL, instead of that in --model',
  },
  {
    name: 'llm',
    kind: 'text',
    topic: 'model',
    option: 'llm',
    on: WITH_MODEL,
    description: 'file of the language model that is the text encoder of Z-Image',
  },
  {
    name: 'vae',
    kind: 'text',
    topic: 'model',
    option: 'vae',
    on: WITH_MODEL,
    description: 'file of the VAE, instead of that in --model',
  },
  {
    name: 'taesd',
    kind: 'text',
    topic: 'model',
    option: 'taesd',
    on: WITH_MODEL,
    description: 'file of a tiny autoencoder, instead of the VAE: faster, with less detail',
  },
  {
    name: 'taesd-preview-only',
    kind: 'switch',
    topic: 'model',
    on: WITH_MODEL,
    description: 'use --taesd for previews only',
  },
  {
    name: 'depth-model',
    kind: 'text',
    topic: 'model',
    option: 'depthModel',
    on: [...LOADING, 'depth'],
    description: 'what estimates depth: MiDaS 3, or a Stable Diffusion 2 depth model',
  },
];

const NOISE_FLAGS: readonly Flag[] = [
  {
    name: 'prediction',
    kind: 'text',
    topic: 'model',
    choices: ['eps', 'v'],
    option: 'prediction',
    on: LOADING,
    description: 'what the UNet predicts (default: what the file says)',
  },
  {
    name: 'zero-terminal-snr',
    kind: 'switch',
    topic: 'model',
    option: 'zeroTerminalSnr',
    on: LOADING,
    description: 'noise levels that end in noise alone (default: what the file says)',
  },
  {
    name: 'flow-shift',
    kind: 'number',
    topic: 'model',
    option: 'flowShift',
    description: 'shift of the noise levels of flow matching (default: that of the model)',
  },
];

const UPSCALE_FLAGS: readonly Flag[] = [
  {
    name: 'upscale-model',
    kind: 'text',
    topic: 'upscaling',
    on: ['upscale'],
    description: 'file of the upscaler: ESRGAN or Real-ESRGAN',
  },
  {
    name: 'upscale-tile-size',
    kind: 'number',
    topic: 'upscaling',
    option: 'tileSize',
    on: ['upscale'],
    description: 'side in pixels of its tiles (default: 128)',
  },
  {
    name: 'upscale-repeats',
    kind: 'number',
    topic: 'upscaling',
    on: ['upscale'],
    description: 'how often to enlarge the image (default: 1)',
  },
];

const CONVERT_FLAGS: readonly Flag[] = [
  {
    name: 'type',
    kind: 'text',
    topic: 'converting',
    choices: CONVERSION_TYPES,
    option: 'type',
    on: [...LOADING, 'convert'],
    description: 'type that weights are converted to (default: keep theirs)',
  },
  {
    name: 'tensor-type-rules',
    kind: 'text',
    topic: 'converting',
    option: 'tensorTypeRules',
    on: [...LOADING, 'convert'],
    description: 'types for tensors by name: regex=type,regex=type',
  },
  {
    name: 'keep-convolutions',
    kind: 'switch',
    topic: 'converting',
    option: 'keepConvolutions',
    on: ['convert'],
    description: 'do not quantize convolution kernels: stable-diffusion.cpp can read the file then',
  },
];

const OUTPUT_FLAGS: readonly Flag[] = [
  {
    name: 'output',
    alias: 'o',
    kind: 'text',
    topic: 'output',
    common: true,
    on: WRITING,
    description: '.png, .jpg, .webp or (convert) weights; - for stdout',
  },
  {
    name: 'batch-count',
    alias: 'b',
    kind: 'number',
    topic: 'output',
    common: true,
    description: 'number of images, with seeds counting up (default: 1)',
  },
  {
    name: 'quality',
    kind: 'number',
    topic: 'output',
    on: COMPUTING,
    description: 'quality of JPEG and WebP files, 1 to 100 (default: 90)',
  },
  {
    name: 'preview-path',
    kind: 'text',
    topic: 'output',
    description: 'file to write a preview to after each step',
  },
  {
    name: 'json',
    kind: 'switch',
    topic: 'output',
    on: EVERY,
    description: 'print results and errors as one line of JSON',
  },
  {
    name: 'progress',
    kind: 'text',
    topic: 'output',
    choices: PROGRESS_KINDS,
    on: WRITING,
    description: 'how to report each step: a bar, or a line of JSON on standard error',
  },
  {
    name: 'verbose',
    alias: 'v',
    kind: 'switch',
    topic: 'output',
    on: EVERY,
    description: 'report more: timings, messages of the engine',
  },
];

const COMPUTE_FLAGS: readonly Flag[] = [
  {
    name: 'threads',
    alias: 't',
    kind: 'number',
    topic: 'compute',
    option: 'threads',
    on: [...WRITING, 'serve'],
    description: 'compute threads (default: one for each physical core)',
  },
  {
    name: 'precision',
    kind: 'text',
    topic: 'compute',
    choices: PRECISIONS,
    option: 'precision',
    on: [...COMPUTING, 'serve'],
    description: 'of products (default: auto; bf16 on the CPU, f32 there and with Vulkan)',
  },
  {
    name: 'no-mmap',
    kind: 'switch',
    topic: 'compute',
    on: [...COMPUTING, 'serve'],
    description: 'copy weights when a model is loaded: its files may change then',
  },
  {
    name: 'residency',
    kind: 'text',
    topic: 'compute',
    option: 'residency',
    on: LOADING,
    description: 'which networks stay in memory: keep, unload, or a budget in bytes',
  },
  {
    name: 'memory',
    kind: 'text',
    topic: 'compute',
    option: 'memory',
    on: [...LOADING, 'inspect'],
    description: 'most memory to take: 1.5GB, 800MiB, or auto for what is free',
  },
  {
    name: 'max-vram',
    kind: 'number',
    topic: 'compute',
    on: [...LOADING, 'inspect'],
    description: 'the same as a number of GiB',
  },
  {
    name: 'estimate',
    kind: 'switch',
    topic: 'compute',
    on: ['inspect'],
    description: 'estimate the memory that an image takes',
  },
  {
    name: 'device',
    kind: 'text',
    topic: 'compute',
    option: 'device',
    on: [...COMPUTING, 'inspect', 'serve'],
    description: 'auto, cpu, cuda, cuda:1, vulkan, metal; see diffuse devices (default: auto, first GPU, else cpu)',
  },
];

const BUILD_FLAGS: readonly Flag[] = [
  ['cuda', 'NVIDIA GPUs; needs the CUDA toolkit'],
  ['vulkan', 'GPUs with Vulkan; needs its headers and glslc'],
  ['metal', "Apple's GPUs"],
].map(([name, description]) => ({
  name: name as string,
  kind: 'switch',
  topic: 'compute',
  on: ['build'],
  description: `for ${description}`,
}));

const FROM: Flag = {
  name: 'from',
  kind: 'text',
  topic: 'prompt',
  common: true,
  description: 'image to reproduce; other flags override what it says',
};

/** All flags, in the order of the help. */
export const FLAGS: readonly Flag[] = [
  ...withAfter(rowFlags('prompt'), 'negative-prompt', [FROM]),
  ...MODEL_FLAGS,
  ...rowFlags('model'),
  ...NOISE_FLAGS,
  ...rowFlags('image'),
  ...CONTROL_FLAGS,
  ...rowFlags('sampling'),
  ...rowFlags('guidance'),
  ...rowFlags('sdxl'),
  ...rowFlags('hires'),
  ...UPSCALE_FLAGS,
  ...CONVERT_FLAGS,
  ...withAfter(OUTPUT_FLAGS, 'quality', rowFlags('output')),
  ...withAfter(COMPUTE_FLAGS, 'max-vram', rowFlags('compute')),
  ...SERVE_FLAGS,
  ...BUILD_FLAGS,
];

/** Inserts flags after one of them. */
function withAfter(flags: readonly Flag[], name: string, others: readonly Flag[]): readonly Flag[] {
  const at = flags.findIndex((flag) => flag.name === name) + 1;
  return [...flags.slice(0, at), ...others, ...flags.slice(at)];
}
