// What a flag of the command line is, the commands that have flags, and the topics of the help.

import type { ControlOptions } from '../control/options.ts';
import type { ConvertOptions } from '../convert/options.ts';
import type { LoadOptions } from '../loading/load-options.ts';
import type { ModelSource } from '../loading/source.ts';
import type { Depth2ImgOptions, EditOptions, HiresOptions, InpaintOptions, Txt2ImgOptions } from '../task/options.ts';
import type { FlagKind, Topic } from '../task/row.ts';
import { TASKS, type TaskName } from '../task/task.ts';
import type { UpscaleOptions } from '../upscaler/upscaler.ts';

/** The commands that draw. */
export const GENERATION_COMMANDS = TASKS;

/** Name of a command that draws: that of the method of a model which it calls. */
export type GenerationCommand = TaskName;

export type CommandName = GenerationCommand | 'upscale' | 'depth' | 'inspect' | 'convert' | 'devices' | 'metadata';

/** The options of all commands that draw. */
export type AnyGenerationOptions = InpaintOptions &
  EditOptions &
  Depth2ImgOptions &
  Pick<UpscaleOptions, 'tileSize'> &
  Pick<Txt2ImgOptions, 'hires'>;

/** What the help can be asked about, with the headings that the flags of each stand under. */
export const TOPICS: Readonly<Record<Topic, string>> = {
  prompt: 'Prompt:',
  model: 'Model:',
  image: 'Image to start from:',
  controls: 'ControlNets:',
  sampling: 'Size and sampling:',
  guidance: 'Guidance:',
  sdxl: 'Size conditioning of SDXL:',
  hires: 'A second, larger pass:',
  upscaling: 'Enlarging:',
  output: 'Output:',
  converting: 'Converting:',
  compute: 'Computing:',
};

/** One flag of the command line. */
export interface Flag {
  /** Long name, that of stable-diffusion.cpp's `sd-cli` where it has the same thing. */
  readonly name: string;
  readonly alias?: string;
  readonly description: string;
  /** What its value is; a switch has none. */
  readonly kind: FlagKind;
  /** The value that a switch stands for, where that is one of several. */
  readonly value?: unknown;
  readonly topic: Topic;
  /** Whether the short help of commands that draw shows it; its description then fits in a line of 80 columns. */
  readonly common?: true;
  /** Names that are listed in the help and completed by shells. Whether others are taken too, the option's check says. */
  readonly choices?: readonly string[];
  /** The option of the API that it sets; undefined for what concerns the command line alone. */
  readonly option?:
    | keyof AnyGenerationOptions
    | `controls[].${keyof ControlOptions}`
    | `hires.${keyof HiresOptions}`
    | keyof ModelSource
    | keyof ConvertOptions
    | keyof LoadOptions;
  /** Whether it may be given several times. */
  readonly repeats?: true;
  /** The commands that have it. Default: all that draw. */
  readonly on?: readonly CommandName[];
}

/** Whether a command draws. */
export function isDrawing(command: CommandName): command is GenerationCommand {
  return GENERATION_COMMANDS.some((name) => name === command);
}

/** Whether a command has a flag. */
export function hasFlag(command: CommandName, { on = GENERATION_COMMANDS }: Flag): boolean {
  return on.some((name) => name === command);
}
