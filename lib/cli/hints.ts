// What a word or a flag that a command does not have was meant to be.

import { closest } from '../core/errors.ts';
import { COMMAND_NAMES, commandOf } from './commands.ts';
import { type CommandName, type Flag, GENERATION_COMMANDS, hasFlag, isDrawing } from './flag.ts';
import { FLAGS } from './flags.ts';
import type { UsageProblem } from './usage-error.ts';

/** What other programs (AUTOMATIC1111, ComfyUI, diffusers, older `sd-cli`) call what a flag here is for. */
const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  'batch-count': [
    'batch-size',
    'batch',
    'count',
    'images',
    'num-images',
    'num-images-per-prompt',
    'n-iter',
    'n-samples',
  ],
  'cfg-scale': ['cfg', 'guidance', 'guidance-scale', 'scale'],
  'negative-prompt': ['negative', 'neg', 'neg-prompt', 'uncond'],
  'sampling-method': ['sampler', 'sampler-name', 'sample-method', 'sampling'],
  scheduler: ['schedule', 'schedule-type', 'noise-schedule'],
  steps: ['num-inference-steps', 'sample-steps', 'sampling-steps', 'step'],
  seed: ['manual-seed', 'noise-seed', 'random-seed', 'generator'],
  strength: ['denoise', 'denoising-strength', 'denoising', 'noise-strength'],
  model: ['ckpt', 'checkpoint', 'ckpt-path', 'model-path', 'ckpt-name', 'pretrained-model-name-or-path'],
  'diffusion-model': ['unet'],
  clip_l: ['clip', 'text-encoder'],
  clip_g: ['text-encoder-2'],
  'lora-model-dir': ['lora', 'lora-dir', 'loras', 'lora-path'],
  'embd-dir': ['embedding', 'embeddings', 'embedding-dir', 'embeddings-dir', 'textual-inversion'],
  'init-img': ['image', 'input', 'init', 'init-image', 'img', 'input-image', 'image'],
  mask: ['mask-image', 'inpaint-mask'],
  'control-net': ['controlnet', 'control'],
  'upscale-model': ['upscaler', 'esrgan'],
  output: ['out', 'outfile', 'output-path', 'output-file', 'outdir', 'save'],
  'img-cfg-scale': ['image-cfg-scale', 'image-guidance-scale', 'image-cfg'],
  'cfg-rescale': ['guidance-rescale', 'rescale-cfg'],
  hires: ['enable-hr', 'hires-fix', 'highres', 'hr'],
  circular: ['tiling', 'tileable', 'seamless'],
  device: ['backend', 'gpu', 'main-gpu'],
  threads: ['n-threads', 'num-threads', 'thread'],
  prediction: ['prediction-type', 'parameterization'],
  'zero-terminal-snr': ['zsnr', 'ztsnr', 'zero-snr', 'rescale-betas-zero-snr'],
};

/** Flags of `sd-cli` for what this package has no part of. */
const NEEDLESS = [
  ...['vae-tiling', 'vae-on-cpu', 'clip-on-cpu', 'control-net-cpu', 'offload-to-cpu', 'diffusion-fa', 'fa'],
  ...['diffusion-conv-direct', 'vae-conv-direct', 'mmap', 'color'],
];

/** Remedies for flags that stand for something else here. */
const REMEDIES: Readonly<Record<string, string>> = {
  size: 'Write --width and --height',
  resolution: 'Write --width and --height',
  mode: `The commands are ${COMMAND_NAMES.join(', ')}`,
  M: `The commands are ${COMMAND_NAMES.join(', ')}`,
  V: 'Did you mean --version?',
  'list-devices': 'Did you mean diffuse devices?',
  cpu: 'Did you mean --device cpu?',
  cuda: 'Did you mean --device? See diffuse devices',
  'help-all': 'Did you mean --help all?',
  quiet: 'Off a terminal next to nothing is printed; --progress none leaves the bar out on one',
  q: 'Off a terminal next to nothing is printed; --progress none leaves the bar out on one',
};

/** What a drawing command needs to be the one that is meant, where it is not named. */
const MEANT_BY: Partial<Record<CommandName, string>> = {
  img2img: '--init-img',
  inpaint: '--init-img and --mask',
  edit: '--img-cfg-scale',
  depth2img: '--depth',
};

/** Words that other programs have as commands. */
const WORDS: Readonly<Record<string, string>> = {
  version: 'diffuse --version',
  generate: 'diffuse txt2img',
  draw: 'diffuse txt2img',
  sample: 'diffuse txt2img',
  t2i: 'diffuse txt2img',
  text2image: 'diffuse txt2img',
  img_gen: 'diffuse txt2img',
  i2i: 'diffuse img2img',
  info: 'diffuse inspect',
  show: 'diffuse inspect',
  quantize: 'diffuse convert',
  exif: 'diffuse metadata',
  enlarge: 'diffuse upscale',
  gpus: 'diffuse devices',
};

/** The name in a flag as it was written, `steps` in `--steps=3`. */
export function nameOf(word: string): string {
  return word.replace(/^--?/, '').replace(/=.*$/s, '');
}

/** @param written the flag as it stands in the command line, without its value. */
export function unknownFlag(written: string, command: CommandName): UsageProblem {
  const name = nameOf(written);
  const other = FLAGS.find((flag) => flag.name === name || flag.alias === name);
  if (other) {
    const message = `Expected a flag of diffuse ${command} but received ${written}. It goes with ${owners(other)}`;
    return { message, name: written };
  }
  const remedy = remedyFor(name, written, command);
  return { message: `Unknown flag ${written}. ${remedy}`, name: written };
}

/** The commands that have a flag, and what stands for their names. */
function owners(flag: Flag): string {
  const all = COMMAND_NAMES.filter((name) => hasFlag(name, flag));
  if (GENERATION_COMMANDS.every((name) => all.includes(name))) return 'the commands that generate images';
  return enumerate(
    all.map((name) => {
      const meant = MEANT_BY[name];
      return meant && meant !== `--${flag.name}` ? `${name} (${meant})` : name;
    }),
  );
}

function enumerate(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

function remedyFor(name: string, written: string, command: CommandName): string {
  const known = FLAGS.filter((flag) => hasFlag(command, flag));
  const remedy = REMEDIES[name];
  if (remedy) return remedy;
  const plain = name.replaceAll('_', '-').toLowerCase();
  if (NEEDLESS.includes(plain)) return 'It is of sd-cli, and nothing here needs it: leave it out';
  const letter = name.length > 1 && !written.startsWith('--') && known.find(({ alias }) => alias === name[0]);
  if (letter) return `Write -${name[0]} ${name.slice(1)}`;
  const synonym = Object.keys(SYNONYMS).find((flag) => SYNONYMS[flag]?.includes(plain));
  const near = synonym ?? (name.length > 1 ? closestFlag(plain, known) : undefined);
  return near ? `Did you mean --${near}?` : `See diffuse ${command} --help`;
}

/** Of this command before those of others. */
function closestFlag(name: string, known: readonly Flag[]): string | undefined {
  const names = (flags: readonly Flag[]) => flags.map((flag) => flag.name);
  return closest(name, names(known)) ?? closest(name, names(FLAGS));
}

/**
 * @param word that stands where a command would.
 * @param near the command that yargs takes it for.
 */
export function unknownCommand(word: string, near: string | undefined): UsageProblem {
  const meant = WORDS[word.toLowerCase()] ?? (near && `diffuse ${near}`);
  const isFile = /\.\w{2,11}$/.test(word);
  const otherwise = isFile ? 'An image is given with -i, a model with -m' : 'Give the prompt with -p, in quotes';
  return {
    message: `Expected a command or flags but received '${word}'. ${meant ? `Did you mean ${meant}?` : otherwise}`,
  };
}

/** @param word the first that stands behind a command and its operand. */
export function unknownWord(word: string, command: CommandName): UsageProblem {
  const { operand } = commandOf(command);
  if (isDrawing(command)) {
    return { message: `Expected flags but received '${word}'. Give the prompt with -p, in quotes` };
  }
  const expected = operand ? `one ${operand.slice(1, -1)}` : 'nothing';
  return { message: `Expected ${expected} after diffuse ${command} but received '${word}'${operand ? ' too' : ''}` };
}
