// From the names of LoRAs to their files.

import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DiffusionError } from '../errors.ts';
import type { NativeLora } from '../native/contract.ts';
import type { LoraRequest } from './options.ts';

/** What the name of a LoRA may go without. */
const EXTENSIONS = ['', '.safetensors', '.pt', '.ckpt', '.pth', '.bin'];

/**
 * Finds each LoRA in the folder, or else as a path of its own.
 *
 * @throws DiffusionError `ERR_FILE` for one that is nowhere.
 */
export function findLoras(loras: readonly LoraRequest[], directory: string | undefined): Promise<NativeLora[]> {
  return Promise.all(loras.map(async ({ name, weight }) => ({ path: await findLora(name, directory), weight })));
}

async function findLora(name: string, directory: string | undefined): Promise<string> {
  const beginnings = new Set([...(directory === undefined ? [] : [resolve(join(directory, name))]), resolve(name)]);
  for (const beginning of beginnings) {
    for (const extension of EXTENSIONS) {
      if (await isFile(beginning + extension)) return beginning + extension;
    }
  }
  const places = [...beginnings].map((path) => `'${path}'`).join(' or ');
  const remedy = 'Give the path of the file, or its name and the folder of LoRAs';
  throw new DiffusionError('ERR_FILE', `Expected a LoRA at ${places}, with or without ${EXTENSIONS[1]}. ${remedy}`);
}

async function isFile(path: string): Promise<boolean> {
  // A name that no file can have is one that is not there.
  return stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
}
