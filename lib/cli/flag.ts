// What a flag of the command line is, and the commands that have flags.

import type { ControlOptions } from '../control/options.ts';
import type { Depth2ImgOptions } from '../pipeline/depth2img-options.ts';
import type { EditOptions } from '../pipeline/edit-options.ts';
import type { HiresOptions } from '../pipeline/hires-options.ts';
import type { InpaintOptions } from '../pipeline/inpaint-options.ts';
import type { Txt2ImgOptions } from '../pipeline/txt2img-options.ts';
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
  readonly kind: 'text' | 'number' | 'seed' | 'numbers' | 'size' | 'corner' | 'switch';
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
