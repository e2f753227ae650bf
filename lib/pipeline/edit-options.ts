// The options of an edit by instruction.

import { OptionCheck } from '../options/check.ts';
import type { ModelLimits } from './generation-options.ts';
import { type CheckedImageOptions, checkImageOptions, IMAGE_OPTIONS, type ImageOptions } from './image-options.ts';

/** Options of {@link Model.edit}. The prompt is an instruction: `make it winter`. */
export interface EditOptions extends ImageOptions {
  /**
   * Guidance scale of the image (Brooks et al. 2022, eq. 3), beside `cfgScale` for the instruction: 1 is no guidance, more stays
   * closer to the image. Finite, at least 0. Default 1.5. Where neither scale is 1 a step costs three network passes.
   */
  imageCfgScale?: number | undefined;
}

/** The options of one call with every default filled in, known to be right. */
export interface CheckedEditOptions extends CheckedImageOptions {
  readonly imageCfgScale: number;
}

const KNOWN: readonly (keyof EditOptions)[] = [...IMAGE_OPTIONS, 'imageCfgScale'];

/**
 * Checks the options of a call, as far as that goes without reading the image.
 *
 * @throws TypeError or RangeError with every problem that was found.
 */
export function checkEditOptions(options: unknown, limits: ModelLimits): CheckedEditOptions {
  const check = new OptionCheck(options, KNOWN);
  const checked = {
    ...checkImageOptions(check, limits),
    imageCfgScale: check.number('imageCfgScale', 1.5, { min: 0, max: Number.MAX_VALUE }),
  };
  check.done();
  return checked;
}
