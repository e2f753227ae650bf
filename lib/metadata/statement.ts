// What an image states of how it was made, as its program wrote it: texts and numbers that nobody has understood yet.

import type { StatedValues } from '../task/stated.ts';

export interface Statement {
  /** The program and its version, as far as it says. */
  readonly software: string | undefined;
  /** The whole text. */
  readonly raw: string;
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly values: StatedValues;
  /** What else stands there, by its name. */
  readonly fields: Readonly<Record<string, string>>;
  /** What it says beyond options. */
  readonly warnings: readonly string[];
}
