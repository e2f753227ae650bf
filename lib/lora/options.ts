// The options of a call that concern LoRAs.

import { type OptionCheck, within } from '../options.ts';
import { readLoraTags } from './tags.ts';

/** One LoRA of a call. */
export interface LoraOption {
  /** A safetensors or PyTorch file; or its name in `loraDirectory`, with or without the extension. */
  path: string;
  /** What its changes are multiplied by: any finite number. Default 1. */
  weight?: number | undefined;
}

/** A LoRA that is asked for, by name or path. */
export interface LoraRequest {
  readonly name: string;
  readonly weight: number;
}

const MAX_LORAS = 64;
const TOO_MANY = `at most ${MAX_LORAS} LoRAs, those of the prompt among them,`;

/** Checks `loras` and `loraDirectory`, and adds what the prompt names; problems stay with `check`. */
export function checkLoras(check: OptionCheck): {
  loras: readonly LoraRequest[];
  loraDirectory: string | undefined;
} {
  const loras = [...checkList(check), ...tagsOf(check.value('prompt'))];
  if (loras.length > MAX_LORAS) check.problem({ name: 'loras', expected: TOO_MANY, received: String(loras.length) });
  const loraDirectory = check.value('loraDirectory') === undefined ? undefined : check.path('loraDirectory');
  return { loras, loraDirectory };
}

function checkList(check: OptionCheck): LoraRequest[] {
  const given = check.list('loras', 'an array of { path, weight }', MAX_LORAS, TOO_MANY) ?? [];
  const checked = given.map((lora, i) => check.attempt(() => checkLora(lora, `loras[${i}]`)));
  return checked.filter((lora) => lora !== undefined);
}

/** What is wrong with a tag was said when the prompt was checked. */
function tagsOf(prompt: unknown): readonly LoraRequest[] {
  return typeof prompt === 'string' ? (quietly(() => readLoraTags(prompt).tags) ?? []) : [];
}

function checkLora(value: unknown, name: string): LoraRequest {
  const check = within(value, name, ['path', 'weight']);
  const path = check.path(`${name}.path`);
  const weight = check.number(`${name}.weight`, 1, { min: -Number.MAX_VALUE, max: Number.MAX_VALUE });
  check.done();
  return { name: path, weight };
}

function quietly<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if ((error as { problems?: unknown }).problems) return undefined;
    throw error;
  }
}
