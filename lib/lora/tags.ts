// The tags of LoRAs in prompts: `<lora:name:weight>`.

import { argumentError, describe } from '../errors.ts';

/** A LoRA as a prompt names it. */
export interface LoraTag {
  readonly name: string;
  readonly weight: number;
}

const TAG = /<lora:([^<>]*)>/g;
/** Name and weight; a name may be a path with a drive letter, but ends before a colon only where a weight follows. */
const CONTENT = /^(.*?)(?::([^:/\\]*))?$/s;

export function hasLoraTag(prompt: string): boolean {
  return prompt.search(TAG) >= 0;
}

/**
 * Takes the tags out of a prompt. A tag is `<lora:name:weight>` or `<lora:name>`, whose weight is 1; it may stand anywhere.
 *
 * @returns the text without them, and the LoRAs in their order.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for a tag without a name or with a weight that is no finite number.
 */
export function readLoraTags(prompt: string): { readonly text: string; readonly tags: readonly LoraTag[] } {
  const tags: LoraTag[] = [];
  const text = prompt.replace(TAG, (_tag, content: string) => {
    tags.push(readTag(content));
    return '';
  });
  return { text, tags };
}

function readTag(content: string): LoraTag {
  const [, name = '', digits] = CONTENT.exec(content) ?? [];
  const weight = digits === undefined ? 1 : digits.trim() === '' ? Number.NaN : Number(digits);
  if (name.trim() !== '' && Number.isFinite(weight)) return { name: name.trim(), weight };
  const expected = 'a LoRA as <lora:name:weight>, the weight a finite number,';
  const received = describe(`<lora:${content}>`);
  throw argumentError([{ name: 'prompt', expected, received, code: 'ERR_INVALID_ARG_VALUE' }]);
}
