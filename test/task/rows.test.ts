// Options come from their rows.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { GenerationParameters } from '../../lib/image/generation-parameters.ts';
import { RgbImage } from '../../lib/image/rgb-image.ts';
import { readMetadata } from '../../lib/index.ts';
import { formatParameters } from '../../lib/metadata/parameters.ts';
import { type CheckedGenerationOptions, checkOptions } from '../../lib/task/check.ts';
import type { HIRES_PARTS } from '../../lib/task/hires-rows.ts';
import type * as options from '../../lib/task/options.ts';
import { parametersOf } from '../../lib/task/parameters.ts';
import type { FlagColumn, Rule } from '../../lib/task/row.ts';
import { optionsOf, ROW_LIST, ROWS } from '../../lib/task/rows.ts';
import { ANY_MODEL, TASKS } from '../../lib/task/task.ts';
import { diffuse } from '../cli/command.ts';

const root = fileURLToPath(new URL('./', import.meta.resolve('node-diffusion/package.json')));

test('the interfaces of options are generated from the rows', () => {
  execFileSync(process.execPath, [join(root, 'scripts', 'generate-options.mjs'), '--check']);
});

/** What callers give by the rules of rows. */
type Given<Rows> = {
  [Name in keyof Rows]: Rows[Name] extends { readonly rule: Rule<infer Value, infer _> } ? Value : never;
};
type Values<Options> = { [Name in keyof Options]-?: NonNullable<Options[Name]> };
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
type All = options.Txt2ImgOptions & options.InpaintOptions & options.EditOptions & options.Depth2ImgOptions;

test('the interfaces have the types of the rules', () => {
  // The compiler checks these.
  const hires: Same<Values<options.HiresOptions>, Given<typeof HIRES_PARTS>> = true;
  const all: Same<Values<All>, Given<typeof ROWS>> = true;
  assert.ok(hires && all);
});

test('every task has the options that all share, and some have their own', () => {
  for (const task of TASKS) assert.ok(optionsOf(task).includes('pagScale'), task);
  assert.deepEqual(
    TASKS.filter((task) => optionsOf(task).includes('strength')),
    ['img2img', 'inpaint', 'depth2img'],
  );
  assert.deepEqual(
    TASKS.filter((task) => optionsOf(task).includes('hires')),
    ['txt2img'],
  );
});

test('the help of a command has the flags of the options of its task and no others', async () => {
  const flagsOf = (flag: FlagColumn | readonly FlagColumn[] = []) => [flag].flat() as readonly FlagColumn[];
  for (const task of TASKS) {
    const help = (await diffuse([task, '--help', 'all'])).stdout.toString();
    for (const [name, { flag }] of Object.entries(ROWS)) {
      for (const column of flagsOf(flag)) {
        const has = new RegExp(`^ .*--${column.name} `, 'm').test(help);
        assert.equal(has, optionsOf(task).includes(name as keyof typeof ROWS), `${task} --${column.name}`);
      }
    }
  }
});

test('every option is on a page of the API', () => {
  const pages = ['generating', 'image-to-image'].map((page) => readFileSync(join(root, `docs/api/${page}.md`), 'utf8'));
  for (const name of Object.keys(ROWS)) assert.match(pages.join('\n'), new RegExp(`^  ${name}\\??: `, 'm'));
});

test('every option of txt2img with a key in metadata is written and read back as it was given', async () => {
  const byKind = {
    number: 0.5,
    numbers: [0.25, 0.75],
    size: { width: 96, height: 64 },
    corner: { top: 8, left: 16 },
  };
  const hires = { width: 192, height: 128, steps: 4, denoisingStrength: 0.5, upscaler: 'latent-bicubic' };
  const byName: Readonly<Record<string, unknown>> = {
    ...{ width: 96, height: 64, steps: 7, seed: 2n ** 64n - 1n, clipSkip: 2, rng: 'cpu', tileable: 'x' },
    ...{ sampler: 'dpm++2m', scheduler: 'karras', hires },
  };
  const rows = ROW_LIST.filter(
    ([name, { metadata, tasks = TASKS }]) => tasks.includes('txt2img') && (metadata || name in byName),
  );
  assert.ok(rows.length > 15);
  const given = Object.fromEntries(
    rows.map(([name, { rule }]) => [name, byName[name] ?? byKind[rule.kind as keyof typeof byKind]]),
  );
  const checked: CheckedGenerationOptions = checkOptions('txt2img', { prompt: 'a', ...given }, ANY_MODEL);
  const fixed = { prompt: 'a', negativePrompt: '', width: 96, height: 64, model: 'm', version: 'node-diffusion 0' };
  const parameters = { ...parametersOf(checked, 0), ...fixed } as GenerationParameters;
  const image = new RgbImage(new Uint8Array(12), 2, 2, parameters, formatParameters(parameters));
  const { options, warnings } = await readMetadata(await image.png());
  assert.deepEqual(warnings, []);
  for (const [name] of rows) assert.deepEqual(options[name as keyof typeof options], given[name], name);
});

test('of options that are not given, parameters are those that every image has', () => {
  const { seed, ...parameters } = parametersOf(checkOptions('txt2img', { prompt: 'a' }, ANY_MODEL), 0);
  const method = { steps: 20, sampler: 'euler_a', scheduler: 'discrete' };
  assert.equal(typeof seed, 'number');
  assert.deepEqual(parameters, { ...method, cfgScale: 7, clipSkip: 1, rng: 'cuda', aestheticScores: undefined });
});

test('options that were checked before the model was known are only fitted to it', () => {
  const limits = { ...ANY_MODEL, sideMultiple: 8, clipSkip: 2, steps: 30 };
  const before = checkOptions('txt2img', { prompt: 'a [b|c]', width: 72 }, ANY_MODEL);
  const after = checkOptions('txt2img', before, limits);
  assert.equal(after.prompt, before.prompt);
  assert.equal(after.seed, before.seed);
  assert.deepEqual([after.width, after.clipSkip, after.steps], [72, 2, 30]);
  const odd = checkOptions('txt2img', { prompt: 'a', width: 65 }, ANY_MODEL);
  assert.throws(() => checkOptions('txt2img', odd, limits), /a multiple of 8 for width but received 65/);
  assert.equal(checkOptions('txt2img', odd, ANY_MODEL).width, 65);
});

test('a copy of checked options counts as options of a caller', () => {
  const checked = checkOptions('txt2img', { prompt: 'a' }, ANY_MODEL);
  assert.throws(() => checkOptions('txt2img', { ...checked }, ANY_MODEL), /a string for prompt/);
});
