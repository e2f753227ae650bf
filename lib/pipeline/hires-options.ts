// The options of a second, larger pass.

import { type ArgumentError, argumentError } from '../core/errors.ts';
import type { Size } from '../image/resize.ts';
import { isArray, OptionCheck } from '../options/check.ts';
import { Upscaler } from '../upscaler/upscaler.ts';
import type { ModelLimits } from './generation-options.ts';
import { findHiresUpscaler, HIRES_UPSCALERS, type HiresUpscaler } from './hires-upscalers.ts';
import { checkPixels, checkSides } from './side-options.ts';

/** Options of {@link Txt2ImgOptions.hires}. */
export interface HiresOptions {
  /** How much larger, 1 to 8; sides are rounded to multiples of the VAE factor. Default 2. */
  scale?: number | undefined;
  /** The size in pixels instead of a scale, both sides. */
  width?: number | undefined;
  height?: number | undefined;
  /** Steps of the second pass, 1 to 1000. Default: those of the first. */
  steps?: number | undefined;
  /**
   * How much of the second pass's noise is put on the enlarged image, 0.01 to 1: its steps are the last ones of a schedule of
   * `steps / denoisingStrength`. Default 0.7.
   */
  denoisingStrength?: number | undefined;
  /**
   * What enlarges: the latent by linear interpolation (`latent`, default), by the nearest cell or by cubic interpolation; the decoded
   * image by Lanczos's filter (`lanczos`); or the decoded image by an upscaler, open or as the path of its file. The web UI's words,
   * `Latent (nearest)`, are understood.
   */
  upscaler?: HiresUpscaler | string | Upscaler | undefined;
}

/** The options with every default filled in, known to be right. */
export interface CheckedHires {
  readonly size: Size;
  readonly steps: number;
  readonly denoisingStrength: number;
  /** Name, or path with a point or a slash in it. */
  readonly upscaler: string | Upscaler;
}

const KNOWN: readonly (keyof HiresOptions)[] = ['scale', 'width', 'height', 'steps', 'denoisingStrength', 'upscaler'];
const MAX_STEPS = 1000;

/**
 * Checks the option `hires`; problems stay with `check`.
 *
 * @param first size and steps of the first pass.
 */
export function checkHires(
  check: OptionCheck,
  limits: ModelLimits,
  first: Size & { readonly steps: number; readonly batchSize: number },
): CheckedHires | undefined {
  const value = check.value('hires');
  if (value === undefined || value === false) return undefined;
  return check.attempt(() =>
    underItsName(() => {
      const named = typeof value === 'object' && value !== null && !isArray(value);
      const given = new OptionCheck(value === true ? {} : value, KNOWN, 'hires', 'true or an object');
      const size = named || value === true ? checkSize(given, limits, first) : first;
      const steps = given.number('steps', first.steps, { min: 1, max: MAX_STEPS, integer: true });
      const denoisingStrength = given.number('denoisingStrength', 0.7, { min: 0.01, max: 1 });
      if (Math.floor(steps / denoisingStrength) > MAX_STEPS) {
        const expected = `at most ${MAX_STEPS} for steps / denoisingStrength`;
        given.problem({ name: 'hires', expected, received: `${steps} / ${denoisingStrength}` });
      }
      const upscaler = checkUpscaler(given);
      given.done();
      return { size, steps, denoisingStrength, upscaler };
    }),
  );
}

/** Problems of the options in `hires`, under their whole names. */
function underItsName<T>(checkAll: () => T): T {
  try {
    return checkAll();
  } catch (error) {
    const { problems } = error as Partial<ArgumentError>;
    if (!problems) throw error;
    throw argumentError(problems.map((one) => (one.name === 'hires' ? one : { ...one, name: `hires.${one.name}` })));
  }
}

function checkSize(check: OptionCheck, limits: ModelLimits, first: Size & { readonly batchSize: number }): Size {
  const factor = limits.vaeScaleFactor;
  const scale = check.number('scale', 2, { min: 1, max: 8 });
  const larger = (side: number) => Math.max(Math.round((side * scale) / factor), 1) * factor;
  const sides = checkSides(check, factor, { width: undefined, height: undefined });
  const one = (sides.width === undefined) !== (sides.height === undefined);
  const both = sides.width !== undefined && sides.height !== undefined;
  if (one) check.problem({ name: 'hires', expected: 'both width and height', received: 'one of them' });
  if (both && check.value('scale') !== undefined) {
    check.problem({ name: 'hires', expected: 'either scale or width and height', received: 'both' });
  }
  const size = { width: sides.width ?? larger(first.width), height: sides.height ?? larger(first.height) };
  checkPixels(check, size.width, size.height, first.batchSize);
  return size;
}

function checkUpscaler(check: OptionCheck): string | Upscaler {
  const value = check.value('upscaler');
  if (Upscaler.is(value)) return value;
  const named = typeof value === 'string' ? findHiresUpscaler(value) : undefined;
  if (named) return named;
  const isPath = typeof value === 'string' && /[./\\]/.test(value);
  return isPath ? check.path('upscaler') : check.name('upscaler', 'latent', HIRES_UPSCALERS);
}
