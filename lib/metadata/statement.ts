// What an image states of how it was made, as its program wrote it: texts and numbers that nobody has understood yet.

import type { OptionParameters } from '../image/generation-parameters.ts';

/** What is stated of each option: a number, its text, or whatever else stood in the file. Undefined where it is not stated. */
export interface StatedValues extends Readonly<Partial<Record<keyof OptionParameters, unknown>>> {
  readonly steps?: unknown;
  /** Names of that program. */
  readonly sampler?: unknown;
  readonly scheduler?: unknown;
  /** Noise levels instead of a schedule. */
  readonly sigmas?: readonly unknown[] | undefined;
  readonly cfgScale?: unknown;
  readonly imageCfgScale?: unknown;
  readonly seed?: unknown;
  readonly width?: unknown;
  readonly height?: unknown;
  readonly model?: unknown;
  readonly clipSkip?: unknown;
  readonly rng?: unknown;
  readonly strength?: unknown;
  readonly tileable?: boolean | 'x' | 'y' | undefined;
  readonly aestheticScore?: unknown;
  readonly negativeAestheticScore?: unknown;
  /** A second pass; of the scale or the sides those that are stated. */
  readonly hires?: { readonly [part in 'scale' | 'width' | 'height' | 'steps' | 'upscaler']?: unknown } | undefined;
}

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
