// Finds the files of LoRAs by their names.

import { stat } from 'node:fs/promises';
import { extname, isAbsolute, join, resolve } from 'node:path';
import { DiffusionError, describe } from '../core/errors.ts';
import { isInside } from '../files/inside.ts';
import { quotePath } from '../files/user-file.ts';
import type { LoraFile } from '../native/contract.ts';
import type { CheckedLoras, LoraRequest } from './options.ts';

/** A LoRA whose file exists. */
export interface FoundLora extends LoraFile {
  /** Its name in the prompt, if the prompt's author must learn nothing about the file. */
  readonly tag: string | undefined;
}

/** Extensions that the name of a LoRA may omit. */
const EXTENSIONS = ['.safetensors', '.pt', '.ckpt', '.pth', '.bin'];
/** Extensions of files in the LoRA folder that a prompt may name. */
const NAMED = new Set([...EXTENSIONS, '.gguf']);
/** The file names that PEFT and diffusers use for a LoRA in its own folder. */
const IN_FOLDER = ['adapter_model', 'pytorch_lora_weights'].flatMap((stem) => [`${stem}.safetensors`, `${stem}.bin`]);

/**
 * Finds each LoRA. Those named in the prompt must be files in the folder, unless prompts may contain paths; the others
 * are files in the folder, or else paths. A folder stands for the PEFT or diffusers file in it.
 *
 * @throws DiffusionError `ERR_FILE` for one that is not found.
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
  const remedy = `Give the path of the file or of a folder with ${IN_FOLDER[0]}, or its name and the LoRA folder`;
  throw new DiffusionError('ERR_FILE', `Expected a LoRA at ${places}, with or without ${EXTENSIONS[0]}. ${remedy}`);
}

/** Files outside the folder are not looked at, and are reported as if they did not exist. */
async function findNamed(name: string, directory: string): Promise<string> {
  const leaves = isAbsolute(name) || name.includes('\0') || name.split(/[/\\]/).includes('..');
  for (const candidate of leaves ? [] : candidatesOf(join(directory, name))) {
    const named = NAMED.has(extname(candidate).toLowerCase());
    if (named && (await isInside(directory, candidate)) && (await isThere(candidate))) return candidate;
  }
  const expected = 'the name of a LoRA in the LoRA folder, with or without its extension,';
  throw new DiffusionError('ERR_FILE', `Expected ${expected} but the prompt has ${describe(name)}`);
}

function candidatesOf(beginning: string): string[] {
  return [
    ...['', ...EXTENSIONS].map((extension) => beginning + extension),
    ...IN_FOLDER.map((name) => join(beginning, name)),
  ];
}

/** Whether a path leads to something to read; whoever reads it reports that it is a pipe, for example. */
async function isThere(path: string): Promise<boolean> {
  // A name that no file can have does not exist.
  return stat(path).then(
    (entry) => !entry.isDirectory(),
    () => false,
  );
}
