// Reads golden numbers, which lie beside the scripts that made them.

import { readFileSync } from 'node:fs';
import { readSafetensors } from './safetensors.ts';

const reference = (name: string): URL => new URL(`../../../test/reference/${name}`, import.meta.url);

/**
 * The parsed JSON file `test/reference/<name>`. Tests run compiled, from dist/test, so the way leads back to the
 * sources.
 */
export function golden<T>(name: string): T {
  return JSON.parse(readFileSync(reference(name), 'utf8')) as T;
}

/** The tensors of the safetensors file `test/reference/<name>`. */
export function goldenTensors(name: string): ReturnType<typeof readSafetensors> {
  return readSafetensors(reference(name));
}
