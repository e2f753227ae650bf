// The commands: their help, and the code that runs them.

import type { CommandLine } from './command-line.ts';
import { type CommandName, GENERATION_COMMANDS, type GenerationCommand } from './flag.ts';

/** One command of the command line. */
export interface Command {
  readonly name: CommandName;
  /** The operand after it, in yargs's notation: `<image>`, or `[image]` if it is optional. */
  readonly operand?: '<image>' | '[image]' | '[file]';
  /** How to call it; undefined if name and operand say it all. */
  readonly usage?: string;
  readonly summary: string;
  readonly examples: readonly string[];
  /** Milliseconds that it has to finish after a signal, if not the usual number. */
  readonly gracePeriod?: number;
  /** Its code is loaded only when it runs, to start fast. */
  run(commandLine: CommandLine, signal: AbortSignal): Promise<void>;
}

const GENERATION: Record<GenerationCommand, Pick<Command, 'usage' | 'summary' | 'examples'>> = {
  txt2img: {
    usage: 'diffuse [txt2img] -p PROMPT [flags]',
    summary: 'generate an image from text',
    examples: [
      'diffuse -p "a red apple" -o apple.png',
      'diffuse -m sd-v1-5.safetensors -p "a red apple" --steps 25 -s 42',
    ],
  },
  img2img: {
    usage: 'diffuse [img2img] -i IMAGE -p PROMPT [flags]',
    summary: 'generate an image from an image and text',
    examples: ['diffuse -i sketch.png -p "a red apple" --strength 0.6 -o apple.png'],
  },
  inpaint: {
    usage: 'diffuse [inpaint] -i IMAGE --mask MASK -p PROMPT [flags]',
    summary: 'regenerate a part of an image',
    examples: ['diffuse -i fruit.png --mask pear.png -p "a red apple" -o apple.png'],
  },
  edit: {
    usage: 'diffuse edit -i IMAGE -p INSTRUCTION [flags]',
    summary: 'change an image as an instruction says',
    examples: ['diffuse edit -m instruct-pix2pix.safetensors -i harbour.png -p "make it winter"'],
  },
  depth2img: {
    usage: 'diffuse depth2img -i IMAGE -p PROMPT [flags]',
    summary: 'regenerate an image, keeping its depth',
    examples: ['diffuse depth2img -m 512-depth-ema.safetensors -i room.png -p "a room of ice"'],
  },
};

/** All commands, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  ...GENERATION_COMMANDS.map((name): Command => {
    const run: Command['run'] = async (...given) =>
      (await import('./generate.ts')).runGenerate(given[0], name, given[1]);
    return { name, ...GENERATION[name], run };
  }),
  {
    name: 'upscale',
    operand: '[image]',
    summary: 'enlarge an image',
    examples: ['diffuse upscale apple.png --upscale-model RealESRGAN_x4plus.pth -o large.png'],
    run: async (...given) => (await import('./upscale.ts')).runUpscale(...given),
  },
  {
    name: 'depth',
    operand: '<image>',
    summary: 'estimate how near everything in an image is',
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
      'diffuse inspect gpu',
    ],
    run: async (...given) => (await import('./inspect.ts')).runInspect(...given),
  },
  {
    name: 'convert',
    operand: '[file]',
    usage: 'diffuse convert -m MODEL --type TYPE -o FILE [flags]',
    summary: 'write a model in another type',
    examples: [
      'diffuse convert -m sd-v1-5.safetensors --type q8_0 -o sd-v1-5-q8_0.gguf',
      'diffuse convert -m folder --vae vae.safetensors -o model.safetensors',
    ],
    run: async (...given) => (await import('./convert.ts')).runConvert(...given),
  },
  {
    name: 'serve',
    summary: 'answer requests over HTTP',
    examples: [
      'diffuse serve --models-dir models --lora-model-dir loras',
      'diffuse serve -m sd-v1-5.safetensors --port 8080',
    ],
    // The job in progress may take that long.
    gracePeriod: 30_000,
    run: async (...given) => (await import('./serve.ts')).runServe(...given),
  },
  {
    name: 'devices',
    summary: 'list what models can run on',
    examples: [],
    run: async (commandLine) => (await import('./devices.ts')).runDevices(commandLine),
  },
  {
    name: 'build',
    usage: 'diffuse build [--cuda] [--vulkan] [--metal]',
    summary: 'build the addon from source, also for GPUs',
    examples: ['diffuse build --vulkan'],
    run: async (...given) => (await import('./build.ts')).runBuild(...given),
  },
  {
    name: 'metadata',
    operand: '<image>',
    summary: 'show how an image was made',
    examples: ['diffuse metadata apple.png'],
    run: async (commandLine) => (await import('./metadata.ts')).runMetadata(commandLine),
  },
];

export const COMMAND_NAMES: readonly CommandName[] = COMMANDS.map(({ name }) => name);

export function commandOf(name: CommandName): Command {
  return COMMANDS.find((command) => command.name === name) as Command;
}
