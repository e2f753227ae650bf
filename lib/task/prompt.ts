// A prompt of a call: its text without the tags of LoRAs, and the texts that editing makes of it from step to step.

import { type LoraTag, readLoraTags } from '../lora/tags.ts';
import type { OptionCheck } from '../options/check.ts';
import { schedulePrompt } from '../text/editing.ts';
import { PromptText } from '../text/prompt-text.ts';

const MAX_LENGTH = 65_536;

/** A text of a prompt, and the number of the last evaluation that it applies to, counted from 0. */
export interface PromptStage {
  readonly text: PromptText;
  readonly until: number;
}

/** A checked prompt. What it is parsed into is parsed once. */
export class CheckedPrompt {
  /** As given. */
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
   * The texts that apply in turn during so many evaluations of the network.
   *
   * @throws as {@link schedulePrompt}.
   */
  stages(evaluations: number): readonly PromptStage[] {
    if (this.#stages?.evaluations !== evaluations) {
      const texts = new Map<string, PromptText>();
      const all = schedulePrompt(this.text, evaluations, this.#name).map(({ text, until }) => {
        const known = texts.get(text) ?? new PromptText(text, this.#name);
        texts.set(text, known);
        return { text: known, until };
      });
      this.#stages = { evaluations, all };
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
    // Its syntax must be sound.
    for (const { text } of prompt.stages(evaluations)) text.sections;
  });
  return prompt;
}
