// The option of a second, larger pass, and the options in it.

import { type ArgumentError, argumentError } from '../core/errors.ts';
import type { Size } from '../image/resize.ts';
import { isArray, OptionCheck } from '../options/check.ts';
import { Upscaler } from '../upscaler/upscaler.ts';
import { HIRES_METADATA } from './hires-metadata.ts';
import { type CheckedHires, findHiresUpscaler, HIRES_UPSCALERS, type HiresUpscaler } from './hires-upscalers.ts';
import type { HiresOptions } from './options.ts';
import { type Checking, number, type Rule, row, rule, ruleByModel } from './row.ts';
import { checkPixels, checkSide } from './sides.ts';
import type { ModelLimits } from './task.ts';

const MAX_STEPS = 1000;

/** The options in `hires`. */
export const HIRES_PARTS = {
  scale: row({
    doc: 'How much larger, 1 to 8; sides are rounded to multiples of the VAE factor. Default 2.',
    rule: number(2, { min: 1, max: 8 }),
    flag: { name: 'hires-scale', topic: 'hires', description: 'how much larger (default: 2)' },
  }),
  width: row({
    doc: 'The width in pixels, with `height` instead of a scale.',
    rule: side('width'),
    flag: {
      name: 'hires-width',
      topic: 'hires',
      description: 'width in pixels, with --hires-height instead of --hires-scale',
    },
  }),
  height: row({
    doc: 'The height in pixels.',
    rule: side('height'),
    flag: { name: 'hires-height', topic: 'hires', description: 'height in pixels' },
  }),
  steps: row({
    doc: 'Steps of the second pass, 1 to 1000. Default: those of the first.',
    rule: rule<number, number>(
      'number',
      ({ check, of }, name) => check.number(name, of('steps'), { min: 1, max: MAX_STEPS, integer: true }),
      { kind: 'number' },
    ),
    flag: {
      name: 'hires-steps',
      topic: 'hires',
      description: 'steps of the second pass (default: those of the first)',
    },
  }),
  denoisingStrength: row({
    doc: `
      How much of the second pass's noise is put on the enlarged image, 0.01 to 1: its steps are the last ones of a
      schedule of \`steps / denoisingStrength\`. Default 0.7.`,
    rule: number(0.7, { min: 0.01, max: 1 }),
    flag: {
      name: 'hires-denoising-strength',
      topic: 'hires',
      description: 'how much is regenerated (default: 0.7)',
    },
  }),
  upscaler: row({
    doc: `
      What enlarges: the latent by linear interpolation (\`latent\`, default), by the nearest cell or by cubic
      interpolation; the decoded image by Lanczos's filter (\`lanczos\`); or the decoded image by an upscaler, open or
      as the path of its file. The web UI's words, \`Latent (nearest)\`, are understood.`,
    rule: rule<HiresUpscaler | string | Upscaler, string | Upscaler>(
      'HiresUpscaler | string | Upscaler',
      checkUpscaler,
      { choices: HIRES_UPSCALERS },
    ),
    flag: {
      name: 'hires-upscaler',
      topic: 'hires',
      description: 'what enlarges, or the file of an upscaler (default: latent)',
    },
  }),
};

export const HIRES_ROWS = {
  hires: row({
    doc: `
      A second pass over the image, enlarged: the first settles what is where at the size that the model was trained
      for, the second adds the detail of the large image. True for the defaults. Default false.`,
    rule: ruleByModel<boolean | HiresOptions, CheckedHires | undefined>('boolean | HiresOptions', checkHires, {
      kind: 'switch',
    }),
    tasks: ['txt2img'],
    flag: { name: 'hires', topic: 'hires', description: 'enlarge the image and generate its detail' },
    metadata: HIRES_METADATA,
  }),
};

function checkHires(checking: Checking, name: string, limits: ModelLimits): CheckedHires | undefined {
  const { check, of } = checking;
  const value = check.value(name);
  if (value === undefined || value === false) return undefined;
  const first = { width: of('width') ?? limits.width, height: of('height') ?? limits.height };
  return check.attempt(() =>
    underItsName(() => {
      const named = typeof value === 'object' && value !== null && !isArray(value);
      const known = Object.keys(HIRES_PARTS);
      const given = new OptionCheck(value === true ? {} : value, known, name, 'true or an object');
      const within = { ...checking, check: given };
      const size = named || value === true ? checkSize(within, limits, first) : first;
      const steps = HIRES_PARTS.steps.rule.check(within, 'steps', limits);
      const denoisingStrength = HIRES_PARTS.denoisingStrength.rule.check(within, 'denoisingStrength', limits);
      if (Math.floor(steps / denoisingStrength) > MAX_STEPS) {
        const expected = `at most ${MAX_STEPS} for steps / denoisingStrength`;
        given.problem({ name, expected, received: `${steps} / ${denoisingStrength}` });
      }
      const upscaler = HIRES_PARTS.upscaler.rule.check(within, 'upscaler', limits);
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

function checkSize(checking: Checking, limits: ModelLimits, first: Size): Size {
  const { check, of } = checking;
  const factor = limits.sideMultiple;
  const scale = HIRES_PARTS.scale.rule.check(checking, 'scale', limits);
  const larger = (side: number) => Math.max(Math.round((side * scale) / factor), 1) * factor;
  const width = HIRES_PARTS.width.rule.check(checking, 'width', limits);
  const height = HIRES_PARTS.height.rule.check(checking, 'height', limits);
  const one = (width === undefined) !== (height === undefined);
  const both = width !== undefined && height !== undefined;
  if (one) check.problem({ name: 'hires', expected: 'both width and height', received: 'one of them' });
  if (both && check.value('scale') !== undefined) {
    check.problem({ name: 'hires', expected: 'either scale or width and height', received: 'both' });
  }
  const size = { width: width ?? larger(first.width), height: height ?? larger(first.height) };
  checkPixels(check, size.width, size.height, of('batchSize'));
  return size;
}

function side(name: 'width' | 'height'): Rule<number, number | undefined> {
  return ruleByModel('number', ({ check }, _, { sideMultiple }) => checkSide(check, name, sideMultiple), {
    kind: 'number',
  });
}

function checkUpscaler({ check }: Checking, name: string): string | Upscaler {
  const value = check.value(name);
  if (Upscaler.is(value)) return value;
  const named = typeof value === 'string' ? findHiresUpscaler(value) : undefined;
  if (named) return named;
  const isPath = typeof value === 'string' && /[./\\]/.test(value);
  return isPath ? check.path(name) : check.name(name, 'latent', HIRES_UPSCALERS);
}
