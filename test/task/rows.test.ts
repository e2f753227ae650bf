// Options come from their rows.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { HIRES_PARTS } from '../../lib/task/hires-rows.ts';
import type * as options from '../../lib/task/options.ts';
import type { Rule } from '../../lib/task/row.ts';
import { optionsOf, type ROWS } from '../../lib/task/rows.ts';
import { TASKS } from '../../lib/task/task.ts';

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
