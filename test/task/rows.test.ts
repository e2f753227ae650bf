// Options come from their rows.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { HIRES_PARTS } from '../../lib/task/hires-rows.ts';
import type * as options from '../../lib/task/options.ts';
import type { FlagColumn, Rule } from '../../lib/task/row.ts';
import { optionsOf, ROWS } from '../../lib/task/rows.ts';
import { TASKS } from '../../lib/task/task.ts';
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
