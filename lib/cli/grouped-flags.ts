// The flags that stand under headings of their own in the help: of ControlNets, SDXL and the second pass.

import { HIRES_UPSCALERS } from '../pipeline/hires-options.ts';
import type { DrawingCommand, Flag } from './flag.ts';

const CONTROLS = 'ControlNets:';
const SDXL = 'What SDXL is told beside the prompt:';
const HIRES = 'A second, larger pass:';
const TEXT_ALONE: readonly DrawingCommand[] = ['txt2img'];

export const CONTROL_FLAGS: readonly Flag[] = [
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
];

export const SDXL_FLAGS: readonly Flag[] = [
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
];

const HIRES_VALUES: readonly Flag[] = (
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

export const HIRES_FLAGS: readonly Flag[] = [
  ...HIRES_VALUES,
  {
    name: 'hires',
    kind: 'switch',
    option: 'hires',
    only: TEXT_ALONE,
    group: HIRES,
    description: 'draw the picture again, enlarged',
  },
];
