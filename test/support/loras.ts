// Files of LoRAs for tests.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestTensor, writeSafetensors } from './safetensors.ts';
import { temporaryFolder } from './tiny-model.ts';

/** A folder of the caller's own, and how a file gets into it: its name without the extension, and what it holds. */
export function loraFolder(name: string) {
  const folder = join(temporaryFolder(), name);
  mkdirSync(folder);
  const write = (file: string, tensors: readonly TestTensor[], metadata?: Record<string, string>): string => {
    const path = join(folder, `${file}.safetensors`);
    writeSafetensors(path, tensors, metadata);
    return path;
  };
  return { folder, write };
}

let seed = 1;

/** Numbers from -scale to scale, other ones with each call. */
export const random = (n: number, scale = 0.15): Float32Array =>
  Float32Array.from({ length: n }, () => Math.sin(seed++ * 12.9898) * scale);

export const tensor = (
  name: string,
  shape: number[],
  values = random(shape.reduce((a, b) => a * b, 1)),
): TestTensor => ({ name, dtype: 'f32', shape, values });
