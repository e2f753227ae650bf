// The options of size and sampling, of previews, and of the run itself.

import { randomInt } from 'node:crypto';
import { describe } from '../core/errors.ts';
import { toNumber, toNumbers } from '../core/values.ts';
import type { NativeTileable } from '../native/contract.ts';
import { RNG_NAMES, type RngName } from '../rng/index.ts';
import { asSeed, readSeed, SEEDS, seedAfter } from '../rng/seed.ts';
import { SAMPLER_NAMES, type Sampler, type SamplerName } from '../sampler/index.ts';
import { SCHEDULER_NAMES, type SchedulerName } from '../schedule/index.ts';
import { type AskedSampler, checkSampler, checkScheduler, type OtherName } from './method.ts';
import { etaOf, SAMPLER_METADATA, SCHEDULER_METADATA } from './method-metadata.ts';
import { type Checking, hasUnet, number, oneOf, optionalNumber, type Rule, row, rule, ruleByModel } from './row.ts';
import { checkSide } from './sides.ts';
import { type Fields, nameOf, pairOf, type StatedValues } from './stated.ts';
import type { ModelLimits } from './task.ts';

const MAX_STEPS = 1000;
const MAX_BATCH = 64;

export const SAMPLING_ROWS = {
  width: row({
    doc: `
      Width in pixels: a multiple of \`info.sideMultiple\` (8, 16 for Z-Image), at most 16,384, and 2^26 pixels in all images of the
      batch. Default: the size that the model's file names, otherwise that of its family. Of a task that starts from an image: the
      image's own, rounded down to a multiple of that factor; where one side is given, the other follows the image's
      proportions.`,
    rule: side('width'),
    flag: {
      name: 'width',
      alias: 'W',
      topic: 'sampling',
      common: true,
      also: ['inspect'],
      description: 'width in pixels, a multiple of 8',
    },
    metadata: {
      key: 'Size',
      type: '',
      // The task knows the size of the image; the options may leave it out.
      parameters: () => ({}),
      write: ({ width, height }) => ({ Size: `${width}x${height}` }),
      read: (fields) => {
        const [width, height] = pairOf(fields.Size, 'x') ?? [];
        return { width, height };
      },
      options: ({ width, height }) => toNumbers({ width, height }),
    },
  }),
  height: row({
    doc: 'Height in pixels; otherwise as `width`.',
    rule: side('height'),
    flag: {
      name: 'height',
      alias: 'H',
      topic: 'sampling',
      common: true,
      also: ['inspect'],
      description: 'height in pixels, a multiple of 8',
    },
  }),
  steps: row({
    doc: 'Sampling steps, 1 to 1000. Default 20, 8 for Z-Image. Custom sigmas bring their own number.',
    rule: ruleByModel<number, number>('number', checkSteps, { kind: 'number' }),
    flag: { name: 'steps', topic: 'sampling', common: true, description: 'sampling steps (default: 20)' },
    metadata: { key: 'Steps', always: true },
  }),
  seed: row({
    doc: `
      Seed of the noise, 0 to 2^64 - 1, above 2^53 - 1 a bigint; image i of a batch uses \`seed + i\`. -1 (default)
      draws one below 2^32.`,
    rule: rule<number | bigint, number | bigint>('number | bigint', checkSeed, { kind: 'seed' }),
    flag: {
      name: 'seed',
      alias: 's',
      topic: 'sampling',
      common: true,
      description: 'seed of the noise (default: -1, a random one)',
    },
    metadata: {
      key: 'Seed',
      type: '',
      parameters: (seed, { index }) => ({ seed: seedAfter(seed, index) }),
      options: ({ seed }) => ({ seed: statedSeed(seed) }),
    },
  }),
  sampler: row({
    doc: `
      Name of a sampler, or a function. Default \`euler_a\`, \`euler\` for models of flow matching. The names of AUTOMATIC1111's web UI, ComfyUI, diffusers,
      InvokeAI and stable-diffusion.cpp are understood where they mean the same method, in any case and with spaces,
      \`_\` or \`-\`: \`Euler a\`, \`dpmpp_2m\`, \`EulerDiscreteScheduler\`. One that says the schedule too, \`DPM++ 2M
      Karras\`, allows no other \`scheduler\`.`,
    rule: ruleByModel<SamplerName | OtherName | Sampler, AskedSampler>(
      'SamplerName | OtherName | Sampler',
      ({ check }, _, { defaultSampler }) => checkSampler(check, defaultSampler),
      { choices: SAMPLER_NAMES },
    ),
    flag: {
      name: 'sampling-method',
      topic: 'sampling',
      common: true,
      description: 'sampler (default: euler_a)',
    },
    metadata: SAMPLER_METADATA,
  }),
  scheduler: row({
    doc: `
      Name of a schedule, or the noise levels themselves: falling, the last 0. Default: the sampler's own, or the
      model's (\`info.defaultScheduler\`, mostly \`discrete\`). The names of those programs are understood likewise;
      \`Automatic\` is what the web UI takes with the sampler, \`karras\` with \`dpm++2m\`.`,
    rule: ruleByModel<SchedulerName | OtherName | ArrayLike<number>, SchedulerName | Float64Array>(
      'SchedulerName | OtherName | ArrayLike<number>',
      ({ check, of }, _, { defaultScheduler }) => checkScheduler(check, of('sampler'), defaultScheduler),
      { choices: SCHEDULER_NAMES },
    ),
    flag: [
      { name: 'scheduler', topic: 'sampling', description: "noise levels (default: the sampler's own)" },
      {
        name: 'sigmas',
        topic: 'sampling',
        kind: 'numbers',
        description: 'noise levels instead of a schedule: "14.6,7.8,3.5,0"',
      },
    ],
    metadata: SCHEDULER_METADATA,
  }),
  eta: row({
    doc: 'Share of noise that a stochastic sampler puts back after each step, 0 to 1. Default: that of its method.',
    rule: optionalNumber({ min: 0, max: 1 }),
    flag: {
      name: 'eta',
      topic: 'sampling',
      description: 'share of noise that a stochastic sampler puts back, 0 to 1',
    },
    metadata: { key: 'Eta', read: (fields) => ({ eta: etaOf(fields) }) },
  }),
  rng: row({
    doc: 'Which generator of torch the noise reproduces: that of a GPU (`cuda`, default) or of the CPU (`cpu`).',
    rule: oneOf<RngName>('RngName', 'cuda', RNG_NAMES),
    flag: {
      name: 'rng',
      topic: 'sampling',
      description: 'generator that the noise reproduces (default: cuda)',
    },
    metadata: {
      key: 'RNG',
      always: true,
      type: 'string',
      write: ({ rng }) => ({ RNG: RNG_LABELS[rng] ?? rng }),
      options: ({ rng }, warnings) => ({ rng: statedRng(rng, warnings) }),
    },
  }),
  tileable: row({
    doc: `
      Whether the image tiles seamlessly: along both sides (true), side by side (\`x\`) or one above the other
      (\`y\`). Convolutions then see the other side where the image ends. Default false. Only models with a UNet.`,
    rule: rule<boolean | 'x' | 'y', NativeTileable | undefined>("boolean | 'x' | 'y'", ({ check }, name) => {
      if (typeof check.value(name) === 'string') return check.name<NativeTileable>(name, 'x', ['x', 'y']);
      return check.boolean(name, false) ? 'xy' : undefined;
    }),
    reader: {
      has: hasUnet,
      expected: ({ info }) => `none, since the transformer of this model (${info.family}) has no convolutions,`,
    },
    flag: [
      {
        name: 'circular',
        topic: 'sampling',
        kind: 'switch',
        value: true,
        description: 'generate an image that tiles seamlessly',
      },
      {
        name: 'circularx',
        topic: 'sampling',
        kind: 'switch',
        value: 'x',
        description: 'the same, side by side only',
      },
      {
        name: 'circulary',
        topic: 'sampling',
        kind: 'switch',
        value: 'y',
        description: 'the same, one above the other only',
      },
    ],
    metadata: {
      key: 'Tiling',
      type: '',
      parameters: (axes) => ({ tileable: axes === 'xy' ? true : axes }),
      write: ({ tileable }) => ({
        Tiling: tileable === true ? 'True' : undefined,
        'Tile X': tileable === 'x' ? 'True' : undefined,
        'Tile Y': tileable === 'y' ? 'True' : undefined,
      }),
      read: (fields) => ({ tileable: statedTileable(fields) }),
      options: ({ tileable }) => ({ tileable }),
    },
  }),
  batchSize: row({
    doc: 'Images generated together in one batch, 1 to 64. Default 1.',
    rule: number(1, { min: 1, max: MAX_BATCH, integer: true }),
  }),
};

/** Random generators as the web UI names them: `NV` computes on the CPU what a GPU gives. */
const RNG_LABELS: Readonly<Record<string, string>> = { cuda: 'NV', cpu: 'CPU' };
/** Names of random generators, in lower case. `NV` computes on the CPU what `GPU` gives on Nvidia cards. */
const GENERATORS: Readonly<Record<string, RngName>> = { cuda: 'cuda', nv: 'cuda', gpu: 'cuda', cpu: 'cpu' };

function statedRng(value: unknown, warnings: string[]): RngName | undefined {
  const name = nameOf(value);
  const rng = name === undefined ? undefined : GENERATORS[name.toLowerCase()];
  if (name !== undefined && !rng) {
    warnings.push(`The image was generated with the random generator ${describe(name)}, which is unknown here`);
  }
  return rng;
}

function statedSeed(value: unknown): unknown {
  // What stands for a random seed in an option says nothing about the seed that was used.
  const seed = typeof value === 'string' ? (readSeed(value) ?? toNumber(value)) : value;
  return typeof seed === 'number' && seed < 0 ? String(seed) : (seed ?? undefined);
}

function statedTileable(fields: Fields): StatedValues['tileable'] {
  const is = (key: string) => fields[key]?.toLowerCase() === 'true';
  if (is('Tiling') || (is('Tile X') && is('Tile Y'))) return true;
  return is('Tile X') ? 'x' : is('Tile Y') ? 'y' : undefined;
}

/** A side, where it is given; by text alone the model's own where it is not. */
function side(name: 'width' | 'height'): Rule<number, number | undefined> {
  return ruleByModel(
    'number',
    ({ task, check }, _, limits) =>
      check.value(name) === undefined && task === 'txt2img'
        ? limits[name]
        : checkSide(check, name, limits.sideMultiple),
    { kind: 'number' },
  );
}

function checkSteps({ check, of }: Checking, name: string, limits: ModelLimits): number {
  const scheduler = of('scheduler');
  const own = typeof scheduler === 'string' ? undefined : scheduler.length - 1;
  const steps = check.number(name, own ?? limits.steps, { min: 1, max: MAX_STEPS, integer: true });
  if (own === undefined || own === steps) return steps;
  const expected = `${own}, one less than the number of sigmas,`;
  check.problem({ name, expected, received: String(steps), remedy: 'Leave it out where sigmas are given' });
  return own;
}

function checkSeed({ check, of }: Checking, name: string): number | bigint {
  const batchSize = of('batchSize');
  const value = check.value(name) ?? -1;
  if (value === -1 || value === -1n) return randomInt(2 ** 32);
  const isNumber = typeof value === 'number';
  const exact = typeof value === 'bigint' || (isNumber && Number.isSafeInteger(value));
  if (exact && value >= 0 && BigInt(value) <= SEEDS - BigInt(batchSize)) return asSeed(BigInt(value));
  const last = batchSize > 1 ? `2^64 - ${batchSize}, so that every image has one` : '2^64 - 1';
  check.problem({
    name,
    expected: `-1 or an integer from 0 to ${last}`,
    received: describe(value),
    ...(isNumber && value >= 2 ** 53 && { remedy: 'From 2^53 on it is exact as a bigint alone' }),
    ...(!isNumber && typeof value !== 'bigint' && { code: 'ERR_INVALID_ARG_TYPE' }),
  });
  return 0;
}
