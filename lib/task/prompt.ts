// A prompt of a call: its text without the tags of LoRAs, and the texts that it is from step to step.

import { type LoraTag, readLoraTags } from '../lora/tags.ts';
import type { OptionCheck } from '../options/check.ts';
import { parseAttention } from '../text/attention.ts';
import { type PromptStage, schedulePrompt } from '../text/editing.ts';

const MAX_LENGTH = 65_536;

/** A prompt that was checked. What it is made into is made once. */
export class CheckedPrompt {
  /** As it was given. */
  readonly raw: string;
  /** Without the tags of LoRAs. */
  readonly text: string;
  readonly loras: readonly LoraTag[];
  readonly #name: string;
  #stages: { readonly evaluations: number; readonly all: readonly PromptStage[] } | undefined;

  /** @param name of the option, for messages. */
  constructor(raw: string, text: string, loras: readonly LoraTag[], name: string) {
    this.raw = raw;
    this.text = text;
    this.loras = loras;
    this.#name = name;
  }

  /**
   * The texts that hold in turn over so many evaluations of the network.
   *
   * @throws as {@link schedulePrompt}.
   */
  stages(evaluations: number): readonly PromptStage[] {
    if (this.#stages?.evaluations !== evaluations) {
      this.#stages = { evaluations, all: schedulePrompt(this.text, evaluations, this.#name) };
    }
    return this.#stages.all;
  }
}

/**
 * Checks a prompt; problems stay with `check`.
 *
 * @param tags whether it may name LoRAs.
 * @param evaluations over which it may change.
 */
export function checkPrompt(check: OptionCheck, name: string, tags: boolean, evaluations: number): CheckedPrompt {
  const raw = check.string(name, '', MAX_LENGTH);
  const read = tags ? check.attempt(() => readLoraTags(raw)) : undefined;
  const prompt = new CheckedPrompt(raw, read?.text ?? raw, read?.tags ?? [], name);
  if (tags && !read) return prompt;
  check.attempt(() => {
    for (const text of new Set(prompt.stages(evaluations).map((stage) => stage.text))) parseAttention(text, name);
  });
  return prompt;
}
