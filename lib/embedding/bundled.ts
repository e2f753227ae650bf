// Embeddings inside LoRA files: words that were trained together with them.

import { callNative } from '../native/call.ts';
import type { NativeAddon, NativeTensor } from '../native/contract.ts';
import { normalize } from '../text/normalize.ts';
import { type EmbeddingFile, MOST_VALUES } from './options.ts';

const PREFIX = 'bundle_emb.';
/** What follows a word: the name that the tensor would have in its own file. A word may contain dots. */
const NAME = /^(.+?)\.(string_to_param\..*|[^.]+)$/s;

/**
 * The words in LoRA files, `bundle_emb.WORD.emb_params` and similar.
 *
 * @param paths of LoRAs.
 * @throws DiffusionError if a file cannot be read.
 */
export async function bundledEmbeddings(
  addon: NativeAddon,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<EmbeddingFile[]> {
  const found: EmbeddingFile[] = [];
  for (const path of new Set(paths)) {
    const words = new Map<string, NativeTensor[]>();
    const all = await callNative(addon, signal, (flag) => addon.readTensors(path, MOST_VALUES, flag, PREFIX));
    for (const tensor of all) {
      const [, word = '', name = ''] = NAME.exec(tensor.name.slice(PREFIX.length)) ?? [];
      const token = normalize(word).trim();
      if (token !== '') words.set(token, [...(words.get(token) ?? []), { ...tensor, name }]);
    }
    for (const [token, tensors] of words) found.push({ token, path, tensors });
  }
  return found;
}
