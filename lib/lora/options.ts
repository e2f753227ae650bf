// The options of a call that concern LoRAs.

import { describe } from '../errors.ts';
import { OptionCheck } from '../options.ts';
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

/** Checks `loras` and `loraDirectory`, and adds what the prompt names; problems stay with `check`. */
export function checkLoras(check: OptionCheck): {
  loras: readonly LoraRequest[];
  loraDirectory: string | undefined;
} {
  const given = check.value('loras') ?? [];
  const prompt = check.value('prompt');
  const loras: LoraRequest[] = [];
  if (Array.isArray(given)) {
    for (const [i, lora] of given.entries()) {
      const checked = check.attempt(() => checkLora(lora, `loras[${i}]`));
      if (checked) loras.push(checked);
    }
  } else {
    const received = describe(given);
    check.problem({ name: 'loras', expected: 'an array of { path, weight }', received, code: 'ERR_INVALID_ARG_TYPE' });
  }
  // What is wrong with a tag was said when the prompt was checked.
  if (typeof prompt === 'string') loras.push(...(quietly(() => readLoraTags(prompt).tags) ?? []));
  if (loras.length > MAX_LORAS) {
    check.problem({
      name: 'loras',
      expected: `at most ${MAX_LORAS} LoRAs, those of the prompt among them,`,
      received: `${loras.length}`,
    });
  }
  const loraDirectory = check.value('loraDirectory') === undefined ? undefined : check.path('loraDirectory');
  return { loras, loraDirectory };
}

function checkLora(value: unknown, name: string): LoraRequest {
  const check = new OptionCheck(value, ['path', 'weight'], name, 'an object { path, weight }');
  const path = check.path('path', `${name}.path`);
  const weight = check.number('weight', 1, { min: -Number.MAX_VALUE, max: Number.MAX_VALUE });
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
