// From the names of LoRAs to their files.

import { stat } from 'node:fs/promises';
import { extname, isAbsolute, join, resolve } from 'node:path';
import { DiffusionError, describe } from '../core/errors.ts';
import { isInside } from '../files/inside.ts';
import { quotePath } from '../files/user-file.ts';
import type { NativeLora } from '../native/contract.ts';
import type { CheckedLoras, LoraRequest } from './options.ts';

/** A LoRA whose file is there. */
export interface FoundLora extends NativeLora {
  /** How the prompt calls it, where whoever wrote the prompt is to learn nothing of the file. */
  readonly tag: string | undefined;
}

/** What the name of a LoRA may go without. */
const EXTENSIONS = ['.safetensors', '.pt', '.ckpt', '.pth', '.bin'];
/** What a file in the folder of LoRAs ends in, for a prompt to name it. */
const NAMED = new Set([...EXTENSIONS, '.gguf']);
/** What PEFT and diffusers call the file of a LoRA in a folder of its own. */
const IN_FOLDER = ['adapter_model', 'pytorch_lora_weights'].flatMap((stem) => [`${stem}.safetensors`, `${stem}.bin`]);

/**
 * Finds each LoRA. Those that the prompt names are files in the folder, and nothing else, unless prompts may give paths; the others are
 * files in the folder, or else paths of their own. A folder stands for the file of PEFT or diffusers in it.
 *
 * @throws DiffusionError `ERR_FILE` for one that is nowhere.
 */
export function findLoras({ loras, loraDirectory, loraTags }: CheckedLoras): Promise<FoundLora[]> {
  return Promise.all(
    loras.map(async (lora) => {
      const { name, weight, textEncoderWeight, fromPrompt } = lora;
      const confined = fromPrompt && loraTags === 'names';
      const path = confined ? await findNamed(name, loraDirectory as string) : await findLora(name, loraDirectory);
      const weights = textEncoderWeight === weight ? { weight } : { weight, textEncoderWeight };
      return { path, ...weights, tag: confined ? name : undefined };
    }),
  );
}

async function findLora(name: LoraRequest['name'], directory: string | undefined): Promise<string> {
  const beginnings = new Set([...(directory === undefined ? [] : [resolve(join(directory, name))]), resolve(name)]);
  for (const beginning of beginnings) {
    for (const candidate of candidatesOf(beginning)) if (await isThere(candidate)) return candidate;
  }
  const places = [...beginnings].map(quotePath).join(' or ');
  const remedy = `Give the path of the file, of a folder with ${IN_FOLDER[0]}, or its name and the folder of LoRAs`;
  throw new DiffusionError('ERR_FILE', `Expected a LoRA at ${places}, with or without ${EXTENSIONS[0]}. ${remedy}`);
}

/** What is not in the folder is not looked at, and is told of like what is not there. */
async function findNamed(name: string, directory: string): Promise<string> {
  const leaves = isAbsolute(name) || name.includes('\0') || name.split(/[/\\]/).includes('..');
  for (const candidate of leaves ? [] : candidatesOf(join(directory, name))) {
    const named = NAMED.has(extname(candidate).toLowerCase());
    if (named && (await isInside(directory, candidate)) && (await isThere(candidate))) return candidate;
  }
  const expected = 'the name of a LoRA in the folder of LoRAs, with or without its extension,';
  throw new DiffusionError('ERR_FILE', `Expected ${expected} but the prompt has ${describe(name)}`);
}

function candidatesOf(beginning: string): string[] {
  return [
    ...['', ...EXTENSIONS].map((extension) => beginning + extension),
    ...IN_FOLDER.map((name) => join(beginning, name)),
  ];
}

/** Whether a path leads to something to read; that it is a pipe, say, is told of by who reads it. */
async function isThere(path: string): Promise<boolean> {
  // A name that no file can have is one that is not there.
  return stat(path).then(
    (entry) => !entry.isDirectory(),
    () => false,
  );
}
