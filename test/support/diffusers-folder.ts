// Writes the tensors of a checkpoint as a diffusers folder.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestTensor, writeSafetensors } from './safetensors.ts';

/** Names of diffusers and transformers by the original ones, for each component. */
export type DiffusersNames = Readonly<Record<'unet' | 'vae' | 'text_encoder', Readonly<Record<string, string>>>>;

/** The tensors of one component under the names that diffusers or transformers gives them, and in its shapes. */
export function diffusersTensors(
  tensors: readonly TestTensor[],
  names: DiffusersNames,
  component: keyof DiffusersNames,
): TestTensor[] {
  return Object.entries(names[component]).map(([original, name]) => {
    const tensor = tensors.find((candidate) => candidate.name === original);
    if (!tensor) throw new Error(`The checkpoint has no ${original}`);
    // The attention of diffusers' autoencoder multiplies by matrices where the original convolves.
    const matrix = component === 'vae' && name.includes('.attentions.');
    return { ...tensor, name, shape: matrix ? tensor.shape.slice(0, 2) : tensor.shape };
  });
}

/**
 * Writes `unet/`, `vae/` and `text_encoder/` into `folder`. The UNet is cut into `shards` files with an index, if more than
 * one.
 */
export function writeDiffusersFolder(
  folder: string,
  tensors: readonly TestTensor[],
  names: DiffusersNames,
  shards = 1,
): void {
  for (const [component, stem] of [
    ['unet', 'diffusion_pytorch_model'],
    ['vae', 'diffusion_pytorch_model'],
    ['text_encoder', 'model'],
  ] as const) {
    const directory = join(folder, component);
    mkdirSync(directory, { recursive: true });
    const renamed = diffusersTensors(tensors, names, component);
    if (component === 'unet' && shards > 1) writeShards(directory, stem, renamed, shards);
    else writeSafetensors(join(directory, `${stem}.safetensors`), renamed, { format: 'pt' });
  }
}

function writeShards(directory: string, stem: string, tensors: readonly TestTensor[], shards: number): void {
  const index: Record<string, string> = {};
  const size = Math.ceil(tensors.length / shards);
  for (let i = 0; i < shards; i++) {
    const number = (n: number) => String(n).padStart(5, '0');
    const file = `${stem}-${number(i + 1)}-of-${number(shards)}.safetensors`;
    const part = tensors.slice(i * size, (i + 1) * size);
    for (const { name } of part) index[name] = file;
    writeSafetensors(join(directory, file), part, { format: 'pt' });
  }
  const json = {
    metadata: { total_size: tensors.reduce((sum, { values }) => sum + values.byteLength, 0) },
    weight_map: index,
  };
  writeFileSync(join(directory, `${stem}.safetensors.index.json`), JSON.stringify(json));
}
