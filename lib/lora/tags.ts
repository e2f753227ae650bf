// The tags of LoRAs in prompts: `<lora:name:weight>`, and those of its kind.

import { argumentError, describe } from '../core/errors.ts';

/** A LoRA as a prompt names it. */
export interface LoraTag {
  readonly name: string;
  /** Of the UNet. */
  readonly weight: number;
  readonly textEncoderWeight: number;
}

const TAG = /<(lora|lyco|hypernet):([^<>]*)>/g;
/** How the web UI names the weights. */
const WEIGHTS = ['te', 'unet'] as const;

export function hasLoraTag(prompt: string): boolean {
  return prompt.search(TAG) >= 0;
}

/**
 * Takes the tags out of a prompt; they may stand anywhere. As in AUTOMATIC1111's web UI, a tag is `<lora:name:weight>`, or
 * `<lora:name>` for a weight of 1; `<lora:name:0.5:0.8>` and `<lora:name:te=0.5:unet=0.8>` have one for the text encoders and one for the
 * UNet, which has that of the text encoders where it has none; and `<lyco:...>` is the same.
 *
 * @returns the text without them, and the LoRAs in their order.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for a tag without a name, with anything but finite numbers behind it, and for
 *   `<hypernet:...>`, which nothing here applies.
 */
export function readLoraTags(prompt: string): { readonly text: string; readonly tags: readonly LoraTag[] } {
  const tags: LoraTag[] = [];
  const text = prompt.replace(TAG, (tag: string, kind: string, content: string) => {
    if (kind === 'hypernet') throw refused('no hypernetwork, which this version does not apply,', tag);
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

/** @returns undefined where a field is no weight, or there are too many. */
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
