// The flags of the command line: their names, what they mean, and the options of the API that they set.

import { RESIZE_MODES } from '../picture/resize.ts';
import { MASKED_CONTENTS } from '../pipeline/start.ts';
import { SAMPLER_NAMES } from '../sampler/index.ts';
import { SCHEDULER_NAMES } from '../schedule/index.ts';
import type { DrawingCommand, Flag } from './flag.ts';
import { CONTROL_FLAGS, HIRES_FLAGS, SDXL_FLAGS } from './grouped-flags.ts';

const FROM_PICTURE: readonly DrawingCommand[] = ['img2img', 'inpaint', 'edit', 'depth2img'];
const IN_PART: readonly DrawingCommand[] = ['img2img', 'inpaint', 'depth2img'];
const WITH_MASK: readonly DrawingCommand[] = ['inpaint'];

/** All flags, in the order of the help. */
export const FLAGS: readonly Flag[] = [
  {
    name: 'model',
    alias: 'm',
    kind: 'text',
    option: 'model',
    description: 'model file or diffusers folder (default: the small model that comes along)',
  },
  {
    name: 'diffusion-model',
    kind: 'text',
    option: 'unet',
    description: 'file of the UNet, instead of the one in --model',
  },
  {
    name: 'clip_l',
    kind: 'text',
    option: 'textEncoder',
    description: 'file of the text encoder, instead of the one in --model',
  },
  {
    name: 'clip_g',
    kind: 'text',
    option: 'textEncoder2',
    description: 'file of the second text encoder of SDXL, instead of the one in --model',
  },
  { name: 'vae', kind: 'text', option: 'vae', description: 'file of the VAE, instead of the one in --model' },
  {
    name: 'taesd',
    kind: 'text',
    option: 'taesd',
    description: 'file of a tiny autoencoder, instead of the VAE: faster, with less detail',
  },
  { name: 'taesd-preview-only', kind: 'switch', description: 'use --taesd for previews only' },
  { name: 'prompt', alias: 'p', kind: 'text', option: 'prompt', description: 'what to draw' },
  {
    name: 'negative-prompt',
    alias: 'n',
    kind: 'text',
    option: 'negativePrompt',
    description: 'what to stay away from',
  },
  {
    name: 'lora-model-dir',
    kind: 'text',
    option: 'loraDirectory',
    description: 'folder of the LoRAs that the prompt names as <lora:name:weight>',
  },
  {
    name: 'embd-dir',
    kind: 'text',
    option: 'embeddingDirectory',
    description: 'folder of textual inversions; the name of each file is the word that stands for it in prompts',
  },
  {
    name: 'init-img',
    alias: 'i',
    kind: 'text',
    option: 'image',
    only: FROM_PICTURE,
    description: 'picture to start from: PNG, or with the package sharp JPEG or WebP',
  },
  {
    name: 'strength',
    kind: 'number',
    option: 'strength',
    only: IN_PART,
    description: 'how much is drawn anew, from 0 (nothing) to 1 (all) (default: 0.75)',
  },
  {
    name: 'resize-mode',
    kind: 'text',
    option: 'resizeMode',
    only: FROM_PICTURE,
    description: `what becomes of a picture of another size (default: fill): ${RESIZE_MODES.join(', ')}`,
  },
  {
    name: 'img-cfg-scale',
    kind: 'number',
    option: 'imageCfgScale',
    only: ['edit'],
    description: 'guidance scale of the picture that is edited (default: 1.5)',
  },
  {
    name: 'depth',
    kind: 'text',
    option: 'depth',
    only: ['depth2img'],
    description: 'picture of how near everything is: white is near (default: estimated)',
  },
  {
    name: 'depth-model',
    kind: 'text',
    option: 'depthModel',
    description: 'what estimates depth: MiDaS 3, or a Stable Diffusion 2 depth model (default: the one beside --model)',
  },
  {
    name: 'mask',
    kind: 'text',
    option: 'mask',
    only: WITH_MASK,
    description: 'picture that is white where to draw and black where not',
  },
  {
    name: 'mask-blur',
    kind: 'number',
    option: 'maskBlur',
    only: WITH_MASK,
    description: 'softness of the edge of the mask in pixels (default: 0)',
  },
  {
    name: 'invert-mask',
    kind: 'switch',
    option: 'invertMask',
    only: WITH_MASK,
    description: 'draw where the mask is black',
  },
  {
    name: 'masked-content',
    kind: 'text',
    option: 'maskedContent',
    only: WITH_MASK,
    description: `what the masked part starts from (default: original): ${MASKED_CONTENTS.join(', ')}`,
  },
  {
    name: 'padding-mask-crop',
    kind: 'number',
    option: 'paddingMaskCrop',
    only: WITH_MASK,
    description: 'draw the masked region alone, at the full size, with that many pixels around it',
  },
  ...CONTROL_FLAGS,
  {
    name: 'output',
    alias: 'o',
    kind: 'text',
    description:
      'PNG file to write (default: output.png); %d or %03d stands for the number of the picture, - for standard output',
  },
  { name: 'width', alias: 'W', kind: 'number', option: 'width', description: 'width in pixels, a multiple of 8' },
  { name: 'height', alias: 'H', kind: 'number', option: 'height', description: 'height in pixels, a multiple of 8' },
  {
    name: 'seed',
    alias: 's',
    kind: 'seed',
    option: 'seed',
    description: 'seed of the noise (default: -1, a random one)',
  },
  { name: 'steps', kind: 'number', option: 'steps', description: 'sampling steps (default: 20)' },
  { name: 'cfg-scale', kind: 'number', option: 'cfgScale', description: 'guidance scale (default: 7)' },
  {
    name: 'cfg-rescale',
    kind: 'number',
    option: 'cfgRescale',
    description: 'how much of the contrast that guidance adds is taken back, 0 to 1 (default: 0)',
  },
  {
    name: 'pag-scale',
    kind: 'number',
    option: 'pagScale',
    description: 'scale of perturbed-attention guidance, which costs one more pass a step (default: 0, none)',
  },
  {
    name: 'guidance-interval',
    kind: 'numbers',
    option: 'guidanceInterval',
    description: 'part of the steps that are guided, as shares (default: "0,1")',
  },
  {
    name: 'sampling-method',
    kind: 'text',
    option: 'sampler',
    description: `sampler (default: euler_a): ${SAMPLER_NAMES.join(', ')}`,
  },
  {
    name: 'scheduler',
    kind: 'text',
    option: 'scheduler',
    description: `schedule of the noise levels (default: the sampler's own): ${SCHEDULER_NAMES.join(', ')}`,
  },
  {
    name: 'sigmas',
    kind: 'numbers',
    option: 'scheduler',
    description: 'noise levels instead of a schedule: "14.6,7.8,3.5,0"',
  },
  {
    name: 'eta',
    kind: 'number',
    option: 'eta',
    description: 'share of noise that a stochastic sampler puts back, 0 to 1',
  },
  {
    name: 'rng',
    kind: 'text',
    option: 'rng',
    description: 'generator that the noise reproduces, cuda or cpu (default: cuda)',
  },
  {
    name: 'prediction',
    kind: 'text',
    option: 'prediction',
    description: 'what the UNet predicts, eps or v (default: what the file says)',
  },
  {
    name: 'clip-skip',
    kind: 'number',
    option: 'clipSkip',
    description: 'layer of the text encoder counted from the last (default: that of the model)',
  },
  ...SDXL_FLAGS,
  {
    name: 'batch-count',
    alias: 'b',
    kind: 'number',
    description: 'pictures to draw one after the other, with seeds counting up (default: 1)',
  },
  {
    name: 'upscale-model',
    kind: 'text',
    only: ['upscale'],
    description: 'file of the upscaler: ESRGAN or Real-ESRGAN',
  },
  {
    name: 'upscale-tile-size',
    kind: 'number',
    option: 'tileSize',
    only: ['upscale'],
    description: 'side in pixels of the tiles that the upscaler sees (default: 128)',
  },
  {
    name: 'upscale-repeats',
    kind: 'number',
    only: ['upscale'],
    description: 'how often to enlarge the picture (default: 1)',
  },
  {
    name: 'threads',
    alias: 't',
    kind: 'number',
    option: 'threads',
    description: 'compute threads (default: one for each physical core)',
  },
  {
    name: 'precision',
    kind: 'text',
    option: 'precision',
    description: 'numbers that the CPU multiplies: f32, bf16 or auto (default: auto, bf16 where the processor has it)',
  },
  {
    name: 'device',
    kind: 'text',
    option: 'device',
    description: 'device to compute on, see `diffuse devices` (default: the first GPU, else cpu)',
  },
  {
    name: 'preview',
    kind: 'text',
    option: 'preview',
    description:
      'what previews are made by: proj, a small picture by a projection (default), or tae or vae, a whole one by --taesd or the VAE',
  },
  { name: 'preview-noisy', kind: 'switch', option: 'previewNoisy', description: 'let previews show the noise, too' },
  ...HIRES_FLAGS,
  { name: 'circular', kind: 'switch', description: 'draw a picture that can be laid beside itself without a seam' },
  { name: 'circularx', kind: 'switch', description: 'the same, side by side only' },
  { name: 'circulary', kind: 'switch', description: 'the same, one above the other only' },
  { name: 'preview-path', kind: 'text', description: 'PNG file to write a preview to after each step' },
  {
    name: 'json',
    kind: 'switch',
    description: 'print one line of JSON; of pictures: files, seeds, timings, peak memory',
  },
  {
    name: 'verbose',
    alias: 'v',
    kind: 'switch',
    description: 'print what is drawn with, timings, what the engine logs, and where an unexpected error came from',
  },
];
