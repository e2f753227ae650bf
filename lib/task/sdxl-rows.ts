// What SDXL is conditioned on in addition to the prompt. Base models and the refiner take different parts of it.

import { toNumbers } from '../core/values.ts';
import type { FamilyOption } from '../family/index.ts';
import type { Size } from '../image/resize.ts';
import { within } from '../options/check.ts';
import { type Checking, number, type ReaderColumn, type Rule, row, rule } from './row.ts';
import { listOf } from './stated.ts';

/** An upper left corner in pixels. */
export interface Corner {
  readonly top: number;
  readonly left: number;
}

/** Largest size or place. */
const MAX_DISTANCE = 2 ** 20;
const SCORE = 6;
const NEGATIVE_SCORE = 2.5;
const SCORES = { min: 0, max: 10 } as const;

const SIZE_KEYS = ['width', 'height'] as const;
const CORNER_KEYS = ['top', 'left'] as const;

export const SDXL_ROWS = {
  originalSize: row({
    doc: `
      SDXL: size in pixels of the image that the result is to look cropped from; small ones look blurred. Default: the
      size that is generated. Each side 0 to 2^20. This and the four below are errors with models that are not
      conditioned on it.`,
    rule: sizeRule(),
    reader: ofFamily('originalSize'),
    flag: {
      name: 'original-size',
      topic: 'sdxl',
      description:
        'size of the image that the result is to look cropped from, 1024x768 (default: the size of the result)',
    },
    metadata: {
      key: 'Original size',
      type: 'string',
      parameters: (size) => ({ originalSize: sizeText(size) }),
    },
  }),
  cropTopLeft: row({
    doc: "SDXL: where the crop's upper left corner lies in that image, in pixels. Default `{ top: 0, left: 0 }`.",
    rule: rule<Corner, Corner>(
      'Corner',
      ({ check }, name) => checkPair(check, name, CORNER_KEYS) ?? { top: 0, left: 0 },
      { kind: 'corner', isDefault: ({ top, left }) => top === 0 && left === 0 },
    ),
    reader: ofFamily('cropTopLeft'),
    flag: {
      name: 'crop-top-left',
      topic: 'sdxl',
      description: 'where in it the crop lies, "TOP,LEFT" in pixels (default: "0,0")',
    },
    metadata: {
      key: 'Crop top left',
      type: 'string',
      parameters: ({ top, left }) => ({ cropTopLeft: `${top}, ${left}` }),
    },
  }),
  targetSize: row({
    doc: 'SDXL base: size of the crop that the result is to look like. Default: the size that is generated.',
    rule: sizeRule(),
    reader: ofFamily('targetSize'),
    flag: { name: 'target-size', topic: 'sdxl', description: 'size of the crop (default: the size of the result)' },
    metadata: { key: 'Target size', type: 'string', parameters: (size) => ({ targetSize: sizeText(size) }) },
  }),
  aestheticScore: row({
    doc: 'SDXL refiner: how beautiful the result is to be on a scale from 0 to 10. Default 6.',
    rule: number(SCORE, SCORES),
    reader: ofFamily('aestheticScore'),
    flag: {
      name: 'aesthetic-score',
      topic: 'sdxl',
      description: 'of the refiner: how beautiful the result is to be, 0 to 10 (default: 6)',
    },
    metadata: {
      key: 'Aesthetic scores',
      always: true,
      type: '',
      parameters: (score, { options: { negativeAestheticScore: negative } }) => ({
        aestheticScores: score === SCORE && negative === NEGATIVE_SCORE ? undefined : `${score}, ${negative}`,
      }),
      write: ({ aestheticScores }) => ({ 'Aesthetic scores': aestheticScores }),
      read: (fields) => {
        const [aestheticScore, negativeAestheticScore] = listOf(fields['Aesthetic scores']) ?? [];
        return { aestheticScore, negativeAestheticScore };
      },
      options: ({ aestheticScore, negativeAestheticScore }) => toNumbers({ aestheticScore, negativeAestheticScore }),
    },
  }),
  negativeAestheticScore: row({
    doc: 'The same for the negative prompt. Default 2.5.',
    rule: number(NEGATIVE_SCORE, SCORES),
    reader: ofFamily('negativeAestheticScore'),
    flag: {
      name: 'negative-aesthetic-score',
      topic: 'sdxl',
      description: 'of the refiner: the same for the negative prompt (default: 2.5)',
    },
  }),
};

/** The record of a family says whether it has an option. */
function ofFamily(option: FamilyOption): ReaderColumn {
  return {
    has: ({ family }) => family.options.includes(option),
    expected: ({ info }) => `none, since this model (${info.family}) takes none,`,
    received: 'one',
  };
}

function sizeText({ width, height }: Size): string {
  return `${width}x${height}`;
}

function sizeRule(): Rule<Size, Size | undefined> {
  return rule('Size', ({ check }, name) => checkPair(check, name, SIZE_KEYS), { kind: 'size' });
}

/** An object of two integers of pixels; undefined if it is missing or wrong. */
function checkPair<Key extends string>(
  check: Checking['check'],
  name: string,
  keys: readonly Key[],
): Readonly<Record<Key, number>> | undefined {
  const value = check.object<Record<Key, unknown>>(name);
  if (value === undefined) return undefined;
  return check.attempt(() => {
    const pair = within(value, name, keys);
    const read = (key: Key) => {
      const whole = `${name}.${key}`;
      if (pair.value(whole) === undefined) {
        pair.problem({ name: whole, expected: 'a number', received: 'undefined', code: 'ERR_INVALID_ARG_TYPE' });
      }
      return pair.number(whole, 0, { min: 0, max: MAX_DISTANCE, integer: true });
    };
    const numbers = Object.fromEntries(keys.map((key) => [key, read(key)])) as Record<Key, number>;
    pair.done();
    return numbers;
  });
}
