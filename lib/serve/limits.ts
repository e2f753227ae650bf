// What one request may ask for, below what a model can do.

import type { ArgumentProblem } from '../core/errors.ts';
import { argumentError } from '../core/errors.ts';
import type { Size } from '../image/resize.ts';
import type { NumberRule } from '../options/check.ts';
import type { CheckedGenerationOptions } from '../task/check.ts';

/** Limits of one request. */
export interface ServeLimits {
  /** Bytes of the body. Default 64 MiB. */
  readonly bodyBytes: number;
  /** Pixels of the images of a batch together, those of a second pass too. Default 2^22, one of 2048 x 2048. */
  readonly pixels: number;
  /** Pixels of an image that is given. Default 2^24. */
  readonly inputPixels: number;
  /** Steps of a pass. Default 150. */
  readonly steps: number;
  /** Images. Default 16. */
  readonly images: number;
  /** Characters of each prompt. Default 8192. */
  readonly promptLength: number;
}

export const DEFAULT_LIMITS: ServeLimits = {
  bodyBytes: 2 ** 26,
  pixels: 2 ** 22,
  inputPixels: 2 ** 24,
  steps: 150,
  images: 16,
  promptLength: 8192,
};

/** What the limits may be. */
export const LIMIT_RULES: Readonly<Record<keyof ServeLimits, NumberRule>> = {
  bodyBytes: { min: 1, max: 2 ** 30, integer: true },
  pixels: { min: 1, max: 2 ** 26, integer: true },
  inputPixels: { min: 1, max: 2 ** 26, integer: true },
  steps: { min: 1, max: 1000, integer: true },
  images: { min: 1, max: 1000, integer: true },
  promptLength: { min: 1, max: 65_536, integer: true },
};

/**
 * @param size of the images, where it is known.
 * @param runs number of runs of `options.batchSize` images.
 * @throws RangeError with everything that is over a limit.
 */
export function requireWithin(
  limits: ServeLimits,
  options: CheckedGenerationOptions,
  size: Partial<Size>,
  runs: number,
): void {
  const { batchSize, steps, hires, prompt, negativePrompt } = options;
  const problems: ArgumentProblem[] = [];
  const most = (name: string, value: number, limit: number, unit = '') => {
    if (value <= limit) return;
    const expected = `at most ${limit}${unit} on this server`;
    problems.push({ name, expected, received: String(value), code: 'ERR_INVALID_ARG_VALUE' });
  };
  const { width = 1, height = 1 } = size;
  most('width x height x batchSize', width * height * batchSize, limits.pixels, ' pixels');
  most('steps', steps, limits.steps);
  most('count', batchSize * runs, limits.images, ' images');
  most('prompt', prompt.raw.length, limits.promptLength, ' characters');
  most('negativePrompt', negativePrompt.raw.length, limits.promptLength, ' characters');
  if (hires) {
    most('hires', hires.size.width * hires.size.height * batchSize, limits.pixels, ' pixels');
    most('hires.steps', hires.steps, limits.steps);
  }
  if (problems.length > 0) throw argumentError(problems);
}
