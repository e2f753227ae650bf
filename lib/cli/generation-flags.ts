// The flags that say what is drawn: prompts, images to start from, ControlNets, sampling, guidance, SDXL, the second pass.

import { RESIZE_MODES } from '../image/resize.ts';
import { RNG_NAMES } from '../rng/index.ts';
import { SAMPLER_NAMES } from '../sampler/index.ts';
import { SCHEDULER_NAMES } from '../schedule/index.ts';
import { HIRES_UPSCALERS } from '../task/hires-upscalers.ts';
import { CONVENTIONS, MASKED_CONTENTS } from '../task/image-rows.ts';
import type { CommandName, Flag } from './flag.ts';

const FROM_IMAGE: readonly CommandName[] = ['img2img', 'inpaint', 'edit', 'depth2img'];
const IN_PART: readonly CommandName[] = ['img2img', 'inpaint', 'depth2img'];
const WITH_MASK: readonly CommandName[] = ['inpaint'];
const TEXT_ALONE: readonly CommandName[] = ['txt2img'];

export const IMAGE_FLAGS: readonly Flag[] = [
  {
    name: 'init-img',
    alias: 'i',
    kind: 'text',
    topic: 'image',
    common: true,
    option: 'image',
    on: [...FROM_IMAGE, 'upscale'],
    description: 'image to start from: PNG, JPEG or WebP',
  },
  {
    name: 'strength',
    kind: 'number',
    topic: 'image',
    common: true,
    option: 'strength',
    on: IN_PART,
    description: 'how much is drawn anew, 0 to 1 (default: 0.75)',
  },
  {
    name: 'convention',
    kind: 'text',
    topic: 'image',
    choices: CONVENTIONS,
    option: 'convention',
    on: IN_PART,
    description: 'whose rules say what a seed and a strength give (default: webui)',
  },
  {
    name: 'resize-mode',
    kind: 'text',
    topic: 'image',
    choices: RESIZE_MODES,
    option: 'resizeMode',
    on: FROM_IMAGE,
    description: 'what becomes of an image of another size (default: fill)',
  },
  {
    name: 'max-pixels',
    kind: 'number',
    topic: 'image',
    option: 'maxPixels',
    on: [...TEXT_ALONE, ...FROM_IMAGE, 'upscale', 'depth'],
    description: 'most pixels of an image that is read (default: 33554432)',
  },
  {
    name: 'img-cfg-scale',
    kind: 'number',
    topic: 'image',
    common: true,
    option: 'imageCfgScale',
    on: ['edit'],
    description: 'guidance scale of the image (default: 1.5)',
  },
  {
    name: 'depth',
    kind: 'text',
    topic: 'image',
    common: true,
    option: 'depth',
    on: ['depth2img'],
    description: 'image in which near is white (default: estimated)',
  },
  {
    name: 'mask',
    kind: 'text',
    topic: 'image',
    common: true,
    option: 'mask',
    on: WITH_MASK,
    description: 'image that is white where to draw',
  },
  {
    name: 'mask-blur',
    kind: 'number',
    topic: 'image',
    common: true,
    option: 'maskBlur',
    on: WITH_MASK,
    description: 'softness of its edge in pixels (default: 0)',
  },
  {
    name: 'invert-mask',
    kind: 'switch',
    topic: 'image',
    common: true,
    option: 'invertMask',
    on: WITH_MASK,
    description: 'draw where the mask is black',
  },
  {
    name: 'masked-content',
    kind: 'text',
    topic: 'image',
    choices: MASKED_CONTENTS,
    option: 'maskedContent',
    on: WITH_MASK,
    description: 'what the masked part starts from (default: original)',
  },
  {
    name: 'padding-mask-crop',
    kind: 'number',
    topic: 'image',
    option: 'paddingMaskCrop',
    on: WITH_MASK,
    description: 'draw the masked region alone, at the full size, with that many pixels around it',
  },
];

const CONTROL_VALUES = [
  ['control-net', 'text', 'model', 'file of a ControlNet; for several, give the flags of controls several times'],
  ['control-image', 'text', 'image', 'image that the ControlNet follows'],
  ['control-strength', 'number', 'strength', 'strength of the ControlNet (default: 1)'],
  ['control-start', 'number', 'start', 'share of the steps before the ControlNet is heard, 0 to 1 (default: 0)'],
  ['control-end', 'number', 'end', 'share of the steps after which it is heard no more (default: 1)'],
] as const;

export const CONTROL_FLAGS: readonly Flag[] = [
  ...CONTROL_VALUES.map(([name, kind, option, description]): Flag => {
    return { name, kind, topic: 'controls', option: `controls[].${option}`, repeats: true, description };
  }),
  { name: 'canny', kind: 'switch', topic: 'controls', description: 'show ControlNets the edges of their images' },
];

const PROMPT_FLAGS: readonly Flag[] = [
  {
    name: 'prompt',
    alias: 'p',
    kind: 'text',
    topic: 'prompt',
    common: true,
    option: 'prompt',
    description: 'what to draw',
  },
  {
    name: 'negative-prompt',
    alias: 'n',
    kind: 'text',
    topic: 'prompt',
    common: true,
    option: 'negativePrompt',
    description: 'what to stay away from',
  },
  {
    name: 'from',
    kind: 'text',
    topic: 'prompt',
    common: true,
    description: 'image to draw again; other flags override what it says',
  },
  {
    name: 'clip-skip',
    kind: 'number',
    topic: 'prompt',
    option: 'clipSkip',
    description: 'layer of the text encoder counted from the last (default: that of the model)',
  },
];

const SAMPLING_FLAGS: readonly Flag[] = [
  {
    name: 'width',
    alias: 'W',
    kind: 'number',
    topic: 'sampling',
    common: true,
    option: 'width',
    description: 'width in pixels, a multiple of 8',
  },
  {
    name: 'height',
    alias: 'H',
    kind: 'number',
    topic: 'sampling',
    common: true,
    option: 'height',
    description: 'height in pixels, a multiple of 8',
  },
  {
    name: 'steps',
    kind: 'number',
    topic: 'sampling',
    common: true,
    option: 'steps',
    description: 'sampling steps (default: 20)',
  },
  {
    name: 'seed',
    alias: 's',
    kind: 'seed',
    topic: 'sampling',
    common: true,
    option: 'seed',
    description: 'seed of the noise (default: -1, a random one)',
  },
  {
    name: 'sampling-method',
    kind: 'text',
    topic: 'sampling',
    common: true,
    choices: SAMPLER_NAMES,
    option: 'sampler',
    description: 'sampler (default: euler_a)',
  },
  {
    name: 'scheduler',
    kind: 'text',
    topic: 'sampling',
    choices: SCHEDULER_NAMES,
    option: 'scheduler',
    description: "noise levels (default: the sampler's own)",
  },
  {
    name: 'sigmas',
    kind: 'numbers',
    topic: 'sampling',
    option: 'scheduler',
    description: 'noise levels instead of a schedule: "14.6,7.8,3.5,0"',
  },
  {
    name: 'eta',
    kind: 'number',
    topic: 'sampling',
    option: 'eta',
    description: 'share of noise that a stochastic sampler puts back, 0 to 1',
  },
  {
    name: 'rng',
    kind: 'text',
    topic: 'sampling',
    choices: RNG_NAMES,
    option: 'rng',
    description: 'generator that the noise reproduces (default: cuda)',
  },
  {
    name: 'circular',
    kind: 'switch',
    topic: 'sampling',
    description: 'draw an image that can be laid beside itself without a seam',
  },
  { name: 'circularx', kind: 'switch', topic: 'sampling', description: 'the same, side by side only' },
  { name: 'circulary', kind: 'switch', topic: 'sampling', description: 'the same, one above the other only' },
];

const GUIDANCE_FLAGS: readonly Flag[] = [
  {
    name: 'cfg-scale',
    kind: 'number',
    topic: 'guidance',
    common: true,
    option: 'cfgScale',
    description: 'guidance scale (default: 7)',
  },
  {
    name: 'cfg-rescale',
    kind: 'number',
    topic: 'guidance',
    option: 'cfgRescale',
    description: 'how much of the contrast that guidance adds is taken back, 0 to 1 (default: 0)',
  },
  {
    name: 'pag-scale',
    kind: 'number',
    topic: 'guidance',
    option: 'pagScale',
    description: 'scale of perturbed-attention guidance, which costs one more pass a step (default: 0, none)',
  },
  {
    name: 'guidance-interval',
    kind: 'numbers',
    topic: 'guidance',
    option: 'guidanceInterval',
    description: 'part of the steps that are guided, as shares (default: "0,1")',
  },
];

export const GENERATION_FLAGS: readonly Flag[] = [...PROMPT_FLAGS, ...SAMPLING_FLAGS, ...GUIDANCE_FLAGS];

export const SDXL_FLAGS: readonly Flag[] = [
  {
    name: 'original-size',
    kind: 'size',
    topic: 'sdxl',
    option: 'originalSize',
    description: 'size of the image that the result is to look cropped from, 1024x768 (default: what is drawn)',
  },
  {
    name: 'crop-top-left',
    kind: 'corner',
    topic: 'sdxl',
    option: 'cropTopLeft',
    description: 'where in it the crop lies, "TOP,LEFT" in pixels (default: "0,0")',
  },
  {
    name: 'target-size',
    kind: 'size',
    topic: 'sdxl',
    option: 'targetSize',
    description: 'size of the crop (default: what is drawn)',
  },
  {
    name: 'aesthetic-score',
    kind: 'number',
    topic: 'sdxl',
    option: 'aestheticScore',
    description: 'of the refiner: how beautiful the result is to be, 0 to 10 (default: 6)',
  },
  {
    name: 'negative-aesthetic-score',
    kind: 'number',
    topic: 'sdxl',
    option: 'negativeAestheticScore',
    description: 'of the refiner: the same for the negative prompt (default: 2.5)',
  },
];

const HIRES_VALUES = [
  ['hires-scale', 'number', 'scale', 'how much larger (default: 2)'],
  ['hires-width', 'number', 'width', 'width in pixels, with --hires-height instead of --hires-scale'],
  ['hires-height', 'number', 'height', 'height in pixels'],
  ['hires-steps', 'number', 'steps', 'steps of the second pass (default: those of the first)'],
  ['hires-denoising-strength', 'number', 'denoisingStrength', 'how much is drawn anew (default: 0.7)'],
  ['hires-upscaler', 'text', 'upscaler', 'what enlarges, or the file of an upscaler (default: latent)'],
] as const;

export const HIRES_FLAGS: readonly Flag[] = [
  {
    name: 'hires',
    kind: 'switch',
    topic: 'hires',
    option: 'hires',
    on: TEXT_ALONE,
    description: 'draw the image again, enlarged',
  },
  ...HIRES_VALUES.map(([name, kind, option, description]): Flag => {
    const choices = option === 'upscaler' ? { choices: HIRES_UPSCALERS } : {};
    return { name, kind, topic: 'hires', option: `hires.${option}`, on: TEXT_ALONE, description, ...choices };
  }),
];
