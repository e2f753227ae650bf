// The commands: what the help says of each, and what runs it.

import type { CommandLine } from './command-line.ts';
import { type CommandName, DRAWING_COMMANDS, type DrawingCommand } from './flag.ts';

/** One command of the command line. */
export interface Command {
  readonly name: CommandName;
  /** What stands behind it, as yargs writes that: `<picture>`, or `[picture]` where it may be missing. */
  readonly operand?: '<picture>' | '[picture]' | '[file]';
  /** How to call it; undefined where name and operand say all. */
  readonly usage?: string;
  readonly summary: string;
  readonly examples: readonly string[];
  /** Its code is loaded when it runs, to keep the start fast. */
  run(commandLine: CommandLine, signal: AbortSignal): Promise<void>;
}

const DRAWING: Record<DrawingCommand, Pick<Command, 'usage' | 'summary' | 'examples'>> = {
  txt2img: {
    usage: 'diffuse [txt2img] -p PROMPT [flags]',
    summary: 'draw a picture from text',
    examples: [
      'diffuse -p "a red apple" -o apple.png',
      'diffuse -m sd-v1-5.safetensors -p "a red apple" --steps 25 -s 42',
    ],
  },
  img2img: {
    usage: 'diffuse [img2img] -i PICTURE -p PROMPT [flags]',
    summary: 'draw from a picture and text',
    examples: ['diffuse -i sketch.png -p "a red apple" --strength 0.6 -o apple.png'],
  },
  inpaint: {
    usage: 'diffuse [inpaint] -i PICTURE --mask MASK -p PROMPT [flags]',
    summary: 'draw a part of a picture anew',
    examples: ['diffuse -i fruit.png --mask pear.png -p "a red apple" -o apple.png'],
  },
  edit: {
    usage: 'diffuse edit -i PICTURE -p INSTRUCTION [flags]',
    summary: 'change a picture as an instruction says',
    examples: ['diffuse edit -m instruct-pix2pix.safetensors -i harbour.png -p "make it winter"'],
  },
  depth2img: {
    usage: 'diffuse depth2img -i PICTURE -p PROMPT [flags]',
    summary: 'draw a picture anew with its depth kept',
    examples: ['diffuse depth2img -m 512-depth-ema.safetensors -i room.png -p "a room of ice"'],
  },
};

/** All commands, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  ...DRAWING_COMMANDS.map((name): Command => {
    const run: Command['run'] = async (...given) => (await import('./draw.ts')).runDraw(given[0], name, given[1]);
    return { name, ...DRAWING[name], run };
  }),
  {
    name: 'upscale',
    operand: '[picture]',
    summary: 'enlarge a picture',
    examples: ['diffuse upscale apple.png --upscale-model RealESRGAN_x4plus.pth -o large.png'],
    run: async (...given) => (await import('./upscale.ts')).runUpscale(...given),
  },
  {
    name: 'depth',
    operand: '<picture>',
    summary: 'estimate how near everything in a picture is',
    examples: ['diffuse depth room.png --depth-model dpt_hybrid-midas-501f0c75.pt -o depth.png'],
    run: async (...given) => (await import('./depth.ts')).runDepth(...given),
  },
  {
    name: 'inspect',
    operand: '[file]',
    summary: 'show what a model holds, by its headers alone',
    examples: [
      'diffuse inspect sd-v1-5.safetensors',
      'diffuse inspect --diffusion-model unet.gguf --vae vae.safetensors',
    ],
    run: async (...given) => (await import('./inspect.ts')).runInspect(...given),
  },
  {
    name: 'devices',
    summary: 'list what models can run on',
    examples: [],
    run: async (commandLine) => (await import('./devices.ts')).runDevices(commandLine),
  },
  {
    name: 'metadata',
    operand: '<picture>',
    summary: 'show how a picture was made',
    examples: ['diffuse metadata apple.png'],
    run: async (commandLine) => (await import('./metadata.ts')).runMetadata(commandLine),
  },
];

export const COMMAND_NAMES: readonly CommandName[] = COMMANDS.map(({ name }) => name);

export function commandOf(name: CommandName): Command {
  return COMMANDS.find((command) => command.name === name) as Command;
}
