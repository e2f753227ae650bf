// The flags of the commands that draw: their names, what they mean, and the options of the API that they set.

import type { ControlOptions } from '../control/options.ts';
import { RESIZE_MODES } from '../picture/resize.ts';
import type { Depth2ImgOptions } from '../pipeline/depth2img-options.ts';
import type { EditOptions } from '../pipeline/edit-options.ts';
import { HIRES_UPSCALERS, type HiresOptions } from '../pipeline/hires-options.ts';
import type { InpaintOptions } from '../pipeline/inpaint-options.ts';
import { MASKED_CONTENTS } from '../pipeline/start.ts';
import type { Txt2ImgOptions } from '../pipeline/txt2img-options.ts';
import { SAMPLER_NAMES } from '../sampler/index.ts';
import { SCHEDULER_NAMES } from '../schedule/index.ts';
import type { UpscaleOptions } from '../upscaler.ts';

/** The commands that draw. */
export const DRAWING_COMMANDS = ['txt2img', 'img2img', 'inpaint', 'edit', 'depth2img'] as const;

/** Name of a command that draws: that of the method of a model which it calls. */
export type DrawingCommand = (typeof DRAWING_COMMANDS)[number];

/** The options of all of them. */
export type DrawingOptions = InpaintOptions &
  EditOptions &
  Depth2ImgOptions &
  Pick<UpscaleOptions, 'tileSize'> &
  Pick<Txt2ImgOptions, 'hires'>;

/** One flag of the command line. */
export interface Flag {
  /** Long name, that of stable-diffusion.cpp's `sd-cli` where it has the same thing. */
  readonly name: string;
  readonly alias?: string;
  readonly description: string;
  /** What its value is; a switch has none. */
  readonly kind: 'text' | 'number' | 'numbers' | 'size' | 'corner' | 'switch';
  /** The option of the API that it sets; undefined for what concerns the command line alone. */
  readonly option?:
    | keyof DrawingOptions
    | `controls[].${keyof ControlOptions}`
    | 'device'
    | 'threads'
    | 'precision'
    | 'prediction'
    | 'model'
    | 'unet'
    | 'textEncoder'
    | 'textEncoder2'
    | 'vae'
    | 'taesd'
    | 'depthModel'
    | `hires.${keyof HiresOptions}`;
  /** Whether it may be given several times. */
  readonly repeats?: true;
  /** The commands that have it, where not all that draw do. */
  readonly only?: readonly (DrawingCommand | keyof typeof OWN_FLAGS)[];
  /** Heading that it stands under in the help, where it is not the general one. */
  readonly group?: string;
}

const FROM_PICTURE: readonly DrawingCommand[] = ['img2img', 'inpaint', 'edit', 'depth2img'];
const IN_PART: readonly DrawingCommand[] = ['img2img', 'inpaint', 'depth2img'];
const WITH_MASK: readonly DrawingCommand[] = ['inpaint'];
const SDXL = 'What SDXL is told beside the prompt:';
const CONTROLS = 'ControlNets:';

const EVERY_COMMAND = ['json', 'verbose'] as const;

/** The flags of the commands that do not draw. */
export const OWN_FLAGS = {
  upscale: [
    ...['init-img', 'output', 'upscale-model', 'upscale-tile-size', 'upscale-repeats'],
    ...['threads', 'precision', 'device', ...EVERY_COMMAND],
  ],
  depth: ['output', 'depth-model', 'threads', 'precision', 'device', ...EVERY_COMMAND],
  inspect: EVERY_COMMAND,
  devices: EVERY_COMMAND,
  metadata: EVERY_COMMAND,
} as const;

const HIRES = 'A second, larger pass:';
const TEXT_ALONE: readonly DrawingCommand[] = ['txt2img'];

const HIRES_FLAGS: readonly Flag[] = (
  [
    ['hires-scale', 'number', 'scale', 'how much larger (default: 2)'],
    ['hires-width', 'number', 'width', 'width in pixels, with --hires-height instead of --hires-scale'],
    ['hires-height', 'number', 'height', 'height in pixels'],
    ['hires-steps', 'number', 'steps', 'steps of the second pass (default: those of the first)'],
    ['hires-denoising-strength', 'number', 'denoisingStrength', 'how much is drawn anew (default: 0.7)'],
    [
      'hires-upscaler',
      'text',
      'upscaler',
      `${HIRES_UPSCALERS.join(', ')}, or the file of an upscaler (default: latent)`,
    ],
  ] as const
).map(([name, kind, option, description]) => {
  return { name, kind, option: `hires.${option}` as const, description, only: TEXT_ALONE, group: HIRES };
});

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
  {
    name: 'control-net',
    kind: 'text',
    option: 'controls[].model',
    repeats: true,
    group: CONTROLS,
    description: 'file of a ControlNet; all flags of controls may be given several times, for several controls',
  },
  {
    name: 'control-image',
    kind: 'text',
    option: 'controls[].image',
    repeats: true,
    group: CONTROLS,
    description: 'picture that the ControlNet follows',
  },
  {
    name: 'control-strength',
    kind: 'number',
    option: 'controls[].strength',
    repeats: true,
    group: CONTROLS,
    description: 'strength of the ControlNet (default: 1)',
  },
  {
    name: 'control-start',
    kind: 'number',
    option: 'controls[].start',
    repeats: true,
    group: CONTROLS,
    description: 'share of the steps before the ControlNet is heard, 0 to 1 (default: 0)',
  },
  {
    name: 'control-end',
    kind: 'number',
    option: 'controls[].end',
    repeats: true,
    group: CONTROLS,
    description: 'share of the steps after which it is heard no more (default: 1)',
  },
  { name: 'canny', kind: 'switch', group: CONTROLS, description: 'show ControlNets the edges of their pictures' },
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
    kind: 'number',
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
  {
    name: 'original-size',
    kind: 'size',
    option: 'originalSize',
    group: SDXL,
    description: 'size of the picture that the result is to look cropped from, 1024x768 (default: what is drawn)',
  },
  {
    name: 'crop-top-left',
    kind: 'corner',
    option: 'cropTopLeft',
    group: SDXL,
    description: 'where in it the crop lies, "TOP,LEFT" in pixels (default: "0,0")',
  },
  {
    name: 'target-size',
    kind: 'size',
    option: 'targetSize',
    group: SDXL,
    description: 'size of the crop (default: what is drawn)',
  },
  {
    name: 'aesthetic-score',
    kind: 'number',
    option: 'aestheticScore',
    group: SDXL,
    description: 'of the refiner: how beautiful the result is to be, 0 to 10 (default: 6)',
  },
  {
    name: 'negative-aesthetic-score',
    kind: 'number',
    option: 'negativeAestheticScore',
    group: SDXL,
    description: 'of the refiner: the same for the negative prompt (default: 2.5)',
  },
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
  {
    name: 'hires',
    kind: 'switch',
    option: 'hires',
    only: TEXT_ALONE,
    group: HIRES,
    description: 'draw the picture again, enlarged',
  },
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
