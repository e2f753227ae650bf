// Suggestions for unknown flags, commands and words.

import { closest } from '../core/errors.ts';
import { COMMAND_NAMES, commandOf } from './commands.ts';
import { type CommandName, type Flag, GENERATION_COMMANDS, hasFlag, isGeneration } from './flag.ts';
import { FLAGS } from './flags.ts';
import type { UsageProblem } from './usage-error.ts';

/** Names of the flags in other programs (AUTOMATIC1111, ComfyUI, diffusers, older `sd-cli`). */
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

/** Flags of `sd-cli` that are not needed here. */
const UNNEEDED = [
  ...[
    'vae-tile-overlap',
    'vae-relative-tile-size',
    'vae-on-cpu',
    'clip-on-cpu',
    'control-net-cpu',
    'offload-to-cpu',
    'diffusion-fa',
    'fa',
  ],
  ...['diffusion-conv-direct', 'vae-conv-direct', 'mmap', 'color'],
];

/** Remedies for flags that have no single counterpart here. */
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
  quiet: 'Use --progress none to hide the progress bar; without a terminal almost nothing is printed',
  q: 'Use --progress none to hide the progress bar; without a terminal almost nothing is printed',
};

/** The flags that select a command if its name is left out. */
const SELECTED_BY: Partial<Record<CommandName, string>> = {
  img2img: '--init-img',
  inpaint: '--init-img and --mask',
  edit: '--img-cfg-scale',
  depth2img: '--depth',
};

/** Commands of other programs. */
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

/** The name in a flag as typed: `steps` in `--steps=3`. */
export function nameOf(word: string): string {
  return word.replace(/^--?/, '').replace(/=.*$/s, '');
}

/** @param written the flag as typed, without its value. */
export function unknownFlag(written: string, command: CommandName): UsageProblem {
  const name = nameOf(written);
  const other = FLAGS.find((flag) => flag.name === name || flag.alias === name);
  if (other) {
    const message = `Expected a flag of diffuse ${command} but received ${written}. It is a flag of ${owners(other)}`;
    return { message, name: written };
  }
  const remedy = remedyFor(name, written, command);
  return { message: `Unknown flag ${written}. ${remedy}`, name: written };
}

/** Lists the commands that have a flag, and the flags that select them. */
function owners(flag: Flag): string {
  const all = COMMAND_NAMES.filter((name) => hasFlag(name, flag));
  if (GENERATION_COMMANDS.every((name) => all.includes(name))) return 'the commands that generate images';
  return enumerate(
    all.map((name) => {
      const selector = SELECTED_BY[name];
      return selector && selector !== `--${flag.name}` ? `${name} (${selector})` : name;
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
  if (UNNEEDED.includes(plain)) return 'This flag of sd-cli is not needed here. Leave it out';
  const letter = name.length > 1 && !written.startsWith('--') && known.find(({ alias }) => alias === name[0]);
  if (letter) return `Write -${name[0]} ${name.slice(1)}`;
  const synonym = Object.keys(SYNONYMS).find((flag) => SYNONYMS[flag]?.includes(plain));
  const near = synonym ?? (name.length > 1 ? closestFlag(plain, known) : undefined);
  return near ? `Did you mean --${near}?` : `See diffuse ${command} --help`;
}

/** Prefers the flags of this command. */
function closestFlag(name: string, known: readonly Flag[]): string | undefined {
  const names = (flags: readonly Flag[]) => flags.map((flag) => flag.name);
  return closest(name, names(known)) ?? closest(name, names(FLAGS));
}

/**
 * @param word the word in place of a command.
 * @param near the command that yargs suggests.
 */
export function unknownCommand(word: string, near: string | undefined): UsageProblem {
  const meant = WORDS[word.toLowerCase()] ?? (near && `diffuse ${near}`);
  const isFile = /\.\w{2,11}$/.test(word);
  const otherwise = isFile ? 'An image is given with -i, a model with -m' : 'Give the prompt with -p, in quotes';
  return {
    message: `Expected a command or flags but received '${word}'. ${meant ? `Did you mean ${meant}?` : otherwise}`,
  };
}

/** @param word the first word after a command and its operand. */
export function unknownWord(word: string, command: CommandName): UsageProblem {
  const { operand } = commandOf(command);
  if (isGeneration(command)) {
    return { message: `Expected flags but received '${word}'. Give the prompt with -p, in quotes` };
  }
  const expected = operand ? `one ${operand.slice(1, -1)}` : 'nothing';
  return { message: `Expected ${expected} after diffuse ${command} but received '${word}'${operand ? ' too' : ''}` };
}
