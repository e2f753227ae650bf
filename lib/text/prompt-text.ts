// One text of a prompt.

import { parseAttention, type WeightedText } from './attention.ts';

/** One of the texts that prompt editing makes of a prompt. */
export class PromptText {
  readonly text: string;
  readonly #name: string;
  #sections: readonly (readonly WeightedText[])[] | undefined;

  /** @param name the option that the prompt was given as, for error messages. */
  constructor(text: string, name = 'prompt') {
    this.text = text;
    this.#name = name;
  }

  /**
   * Its attention syntax, parsed once.
   *
   * @throws as {@link parseAttention}.
   */
  get sections(): readonly (readonly WeightedText[])[] {
    this.#sections ??= parseAttention(this.text, this.#name);
    return this.#sections;
  }
}
