// The options of guidance.

import { describe } from '../core/errors.ts';
import { type Checking, hasUnet, number, row, rule, ruleByModel } from './row.ts';

type Interval = readonly [start: number, end: number];

export const GUIDANCE_ROWS = {
  cfgScale: row({
    doc: `
      Guidance scale (Ho and Salimans 2022): 1 is no guidance and costs one network pass a step instead of two, more
      follows the prompt more closely. Finite, at least 0. Default 7, 1 for Z-Image.`,
    rule: ruleByModel<number, number>(
      'number',
      ({ check }, name, { cfgScale }) => check.number(name, cfgScale, { min: 0, max: Number.MAX_VALUE }),
      { kind: 'number' },
    ),
    flag: { name: 'cfg-scale', topic: 'guidance', common: true, description: 'guidance scale (default: 7)' },
    metadata: { key: 'CFG scale', always: true },
  }),
  cfgRescale: row({
    doc: `
      How much of the contrast that guidance adds is removed, 0 (default, nothing) to 1: the guided prediction is
      brought towards the standard deviation of that for the prompt alone (Lin et al. 2023; \`guidance_rescale\` of
      diffusers). 0.7 is what its authors use for v-prediction.`,
    rule: number(0, { min: 0, max: 1 }),
    flag: {
      name: 'cfg-rescale',
      topic: 'guidance',
      description: 'how much of the contrast that guidance adds is removed, 0 to 1 (default: 0)',
    },
    metadata: { key: 'CFG Rescale' },
  }),
  pagScale: row({
    doc: `
      Scale of perturbed-attention guidance (Ahn et al. 2024): away from what the UNet predicts when each pixel of its
      middle block attends to itself alone. Costs one more pass a step. Finite, at least 0; default 0, none; 3 is a
      usual value.`,
    rule: number(0, { min: 0 }),
    reader: {
      has: ({ info }) => info.middleAttention,
      expected: (model) =>
        `0, since the ${hasUnet(model) ? 'UNet' : 'transformer'} of this model has no attention in its middle block,`,
    },
    flag: {
      name: 'pag-scale',
      topic: 'guidance',
      description: 'scale of perturbed-attention guidance, which costs one more pass a step (default: 0, none)',
    },
    metadata: { key: 'PAG scale' },
  }),
  guidanceInterval: row({
    doc: `
      The part of the steps that are guided, as shares of those that are taken: from \`floor(start x steps)\` up to
      before \`floor(end x steps)\`. Outside of it the prompt alone counts, without \`cfgScale\`, \`cfgRescale\` and
      \`pagScale\`, and a step costs one pass (Kynkäänniemi et al. 2024). Default \`[0, 1]\`.`,
    rule: rule<Interval, Interval>('readonly [start: number, end: number]', checkInterval, {
      kind: 'numbers',
      isDefault: ([start, end]) => start === 0 && end === 1,
    }),
    flag: {
      name: 'guidance-interval',
      topic: 'guidance',
      description: 'part of the steps that are guided, as shares (default: "0,1")',
    },
    metadata: { key: 'Guidance interval' },
  }),
};

/** Two shares of a whole, the first below the second. */
function checkInterval({ check }: Checking, name: string): Interval {
  const expected = 'an array of two numbers from 0 to 1, the first below the second';
  const pair = check.list(name, expected, 2);
  if (!pair) return [0, 1];
  const [start, end] = pair;
  const isNumbers = typeof start === 'number' && typeof end === 'number';
  if (isNumbers && start >= 0 && start < end && end <= 1) return [start, end];
  const code = isNumbers ? 'ERR_INVALID_ARG_VALUE' : 'ERR_INVALID_ARG_TYPE';
  check.problem({ name, expected, received: isNumbers ? `[${start}, ${end}]` : describe(pair), code });
  return [0, 1];
}
