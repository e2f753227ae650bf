// Flags of the command line, the commands that have them, and the topics of the help.

import type { ControlOptions } from '../control/options.ts';
import type { ConvertOptions } from '../convert/options.ts';
import type { LoadOptions } from '../loading/load-options.ts';
import type { ModelSource } from '../loading/source.ts';
import type { ServeLimits } from '../serve/limits.ts';
import type { ServeOptions } from '../serve/server.ts';
import type { Depth2ImgOptions, EditOptions, HiresOptions, InpaintOptions, Txt2ImgOptions } from '../task/options.ts';
import type { FlagKind, Topic } from '../task/row.ts';
import { TASKS, type TaskName } from '../task/task.ts';
import type { UpscaleOptions } from '../upscaler/upscaler.ts';

/** The commands that generate images. */
export const GENERATION_COMMANDS = TASKS;

/** Name of a command that generates images, which is also the name of the `Model` method that it calls. */
export type GenerationCommand = TaskName;

export type CommandName =
  | GenerationCommand
  | 'upscale'
  | 'depth'
  | 'inspect'
  | 'convert'
  | 'devices'
  | 'build'
  | 'metadata'
  | 'serve';

/** The options of all commands that generate images. */
export type AnyGenerationOptions = InpaintOptions &
  EditOptions &
  Depth2ImgOptions &
  Pick<UpscaleOptions, 'tileSize'> &
  Pick<Txt2ImgOptions, 'hires'>;

/** The topics of the help, with their headings. */
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
  serving: 'Serving:',
};

/** One flag of the command line. */
export interface Flag {
  /** Long name. The same as in stable-diffusion.cpp's `sd-cli` if that has such a flag. */
  readonly name: string;
  readonly alias?: string;
  readonly description: string;
  /** The kind of its value; a switch has none. */
  readonly kind: FlagKind;
  /** The value that a switch sets, if it is one of several. */
  readonly value?: unknown;
  readonly topic: Topic;
  /**
   * Whether it is in the short help of commands that generate images; its description must then fit in a line of 80
   * columns.
   */
  readonly common?: true;
  /** Names that the help lists and shells complete. The check of the option decides whether others are accepted too. */
  readonly choices?: readonly string[];
  /** The option of the API that it sets; undefined for flags of the command line alone. */
  readonly option?:
    | keyof AnyGenerationOptions
    | `controls[].${keyof ControlOptions}`
    | `hires.${keyof HiresOptions}`
    | keyof ModelSource
    | keyof ConvertOptions
    | keyof LoadOptions
    | keyof Omit<ServeOptions, 'model' | 'load' | 'limits' | 'logger' | 'clientOf'>
    | `limits.${keyof ServeLimits}`;
  /** Whether it may be given several times. */
  readonly repeats?: true;
  /** The commands that have it. Default: all that generate images. */
  readonly on?: readonly CommandName[];
}

/** Whether a command generates images. */
export function isGeneration(command: CommandName): command is GenerationCommand {
  return GENERATION_COMMANDS.some((name) => name === command);
}

/** Whether the short help of a command shows only the common flags, and topics the others. */
export function hasTopics(command: CommandName): boolean {
  return isGeneration(command) || command === 'serve';
}

/** Whether a command has a flag. */
export function hasFlag(command: CommandName, { on = GENERATION_COMMANDS }: Flag): boolean {
  return on.some((name) => name === command);
}
