// LoRA tags in prompts: `<lora:name:weight>` and similar.

import { argumentError, describe } from '../core/errors.ts';

/** A LoRA as named in a prompt. */
export interface LoraTag {
  readonly name: string;
  /** For the UNet. */
  readonly weight: number;
  readonly textEncoderWeight: number;
}

const TAG = /<(lora|lyco|hypernet):([^<>]*)>/g;
/** The web UI's names of the weights. */
const WEIGHTS = ['te', 'unet'] as const;

export function hasLoraTag(prompt: string): boolean {
  return prompt.search(TAG) >= 0;
}

/**
 * Removes the tags from a prompt; they may be anywhere. As in AUTOMATIC1111's web UI, a tag is `<lora:name:weight>`, or
 * `<lora:name>` for a weight of 1; `<lora:name:0.5:0.8>` and `<lora:name:te=0.5:unet=0.8>` have one weight for the text
 * encoders and one for the UNet, which defaults to that of the text encoders; `<lyco:...>` means the same.
 *
 * @returns the text without them, and the LoRAs in order.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for a tag without a name, for anything but finite numbers after the name,
 *   and for `<hypernet:...>`, which is not supported.
 */
export function readLoraTags(prompt: string): { readonly text: string; readonly tags: readonly LoraTag[] } {
  const tags: LoraTag[] = [];
  const text = prompt.replace(TAG, (tag: string, kind: string, content: string) => {
    if (kind === 'hypernet') throw refused('no hypernetwork, which is not supported,', tag);
    const read = readTag(content);
    if (!read)
      throw refused('a LoRA as <lora:name:weight> or <lora:name:te=weight:unet=weight>, weights finite numbers,', tag);
    tags.push(read);
    return '';
  });
  return { text, tags };
}

function readTag(content: string): LoraTag | undefined {
  const fields = content.split(':');
  // A name may be a path with a drive letter.
  const length = Math.max(1, fields.findLastIndex((field) => /[/\\]/.test(field)) + 1);
  const name = fields.slice(0, length).join(':').trim();
  const weights = readWeights(fields.slice(length));
  return name === '' ? undefined : weights && { name, ...weights };
}

/** @returns undefined if a field is not a weight, or there are too many. */
function readWeights(fields: readonly string[]): Omit<LoraTag, 'name'> | undefined {
  const named = new Map<string, number>();
  const unnamed: number[] = [];
  for (const field of fields) {
    const [, name, digits = ''] = /^(?:\s*(\w+)\s*=)?(.*)$/s.exec(field) ?? [];
    const weight = digits.trim() === '' ? Number.NaN : Number(digits);
    const known = name === undefined || (WEIGHTS.some((one) => one === name) && !named.has(name));
    if (!known || !Number.isFinite(weight)) return undefined;
    if (name === undefined) unnamed.push(weight);
    else named.set(name, weight);
  }
  if (unnamed.length > WEIGHTS.length) return undefined;
  const textEncoderWeight = named.get('te') ?? unnamed[0] ?? 1;
  return { weight: named.get('unet') ?? unnamed[1] ?? textEncoderWeight, textEncoderWeight };
}

function refused(expected: string, tag: string): Error {
  return argumentError([{ name: 'prompt', expected, received: describe(tag), code: 'ERR_INVALID_ARG_VALUE' }]);
}
