// Reads golden numbers, which lie beside the scripts that made them.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './places.ts';
import { readSafetensors } from './safetensors.ts';

const reference = (name: string): string => join(root, 'test', 'reference', name);

/** The parsed JSON file `test/reference/<name>`. */
export function golden<T>(name: string): T {
  return JSON.parse(readFileSync(reference(name), 'utf8')) as T;
}

/** The tensors of the safetensors file `test/reference/<name>`. */
export function goldenTensors(name: string): ReturnType<typeof readSafetensors> {
  return readSafetensors(reference(name));
}

/** An image in a golden file. */
export interface GoldenImage {
  width: number;
  height: number;
  /** Base64 of `[height, width, channels]` bytes. */
  data: string;
}

/** The results of a pipeline for given options. */
export interface GoldenRun<Options> {
  options: Options;
  /** Base64 of the last latent, float32. */
  latent: string;
  /** Base64 of `[height, width, 3]` bytes each. */
  images: string[];
}

export const bytes = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'));
export const floats = (base64: string) => new Float32Array(bytes(base64).buffer);
export const pixels = ({ width, height, data }: GoldenImage) => ({ width, height, data: bytes(data) });
