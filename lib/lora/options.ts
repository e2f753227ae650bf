// The options of a call for LoRAs.

import { type OptionCheck, within } from '../options/check.ts';
import type { LoraTag } from './tags.ts';

/** One LoRA of a call. */
export interface LoraOption {
  /**
   * A safetensors or PyTorch file, a PEFT folder (`adapter_model.safetensors` and `adapter_config.json`) or a diffusers
   * folder; or its name in `loraDirectory`, with or without the extension.
   */
  path: string;
  /** Factor of its changes: any finite number. Default 1. */
  weight?: number | undefined;
  /** Factor of its changes to the text encoders. Default: `weight`. */
  textEncoderWeight?: number | undefined;
}

/** A requested LoRA, by name or path. */
export interface LoraRequest {
  readonly name: string;
  readonly weight: number;
  readonly textEncoderWeight: number;
  /** Whether the prompt names it. */
  readonly fromPrompt: boolean;
}

export interface CheckedLoras {
  readonly loras: readonly LoraRequest[];
  readonly loraDirectory: string | undefined;
  readonly loraTags: LoraTags;
}

export const LORA_TAGS = ['names', 'paths'] as const;
/** What tags in a prompt may refer to: names of files in `loraDirectory`, or any path. */
export type LoraTags = (typeof LORA_TAGS)[number];

const MAX_LORAS = 64;
const TOO_MANY = `at most ${MAX_LORAS} LoRAs, including those in the prompt,`;

/** Checks the option `loras`, and adds those named in the prompt; `check` collects the problems. */
export function checkLoras(check: OptionCheck, tags: readonly LoraTag[]): readonly LoraRequest[] {
  const loras = [...checkList(check), ...tags.map((tag) => ({ ...tag, fromPrompt: true }))];
  if (loras.length > MAX_LORAS) check.problem({ name: 'loras', expected: TOO_MANY, received: String(loras.length) });
  return loras;
}

function checkList(check: OptionCheck): LoraRequest[] {
  const given = check.list('loras', 'an array of { path, weight }', MAX_LORAS, TOO_MANY) ?? [];
  const checked = given.map((lora, i) => check.attempt(() => checkLora(lora, `loras[${i}]`)));
  return checked.filter((lora) => lora !== undefined);
}

function checkLora(value: unknown, name: string): LoraRequest {
  const check = within(value, name, ['path', 'weight', 'textEncoderWeight']);
  const path = check.path(`${name}.path`);
  const finite = { min: -Number.MAX_VALUE, max: Number.MAX_VALUE };
  const weight = check.number(`${name}.weight`, 1, finite);
  const textEncoderWeight = check.number(`${name}.textEncoderWeight`, weight, finite);
  check.done();
  return { name: path, weight, textEncoderWeight, fromPrompt: false };
}
