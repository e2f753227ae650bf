// All options of the tasks: a row each, in the order of the help and of the API's pages.

import { GUIDANCE_ROWS } from './guidance-rows.ts';
import { HIRES_ROWS } from './hires-rows.ts';
import { IMAGE_ROWS } from './image-rows.ts';
import { PROMPT_ROWS } from './prompt-rows.ts';
import type { Row } from './row.ts';
import { RUN_ROWS } from './run-rows.ts';
import { SAMPLING_ROWS } from './sampling-rows.ts';
import { SDXL_ROWS } from './sdxl-rows.ts';
import { TASKS, type TaskName } from './task.ts';
import { WEIGHT_ROWS } from './weight-rows.ts';

export const ROWS = {
  ...PROMPT_ROWS,
  ...WEIGHT_ROWS,
  ...IMAGE_ROWS,
  ...SAMPLING_ROWS,
  ...GUIDANCE_ROWS,
  ...SDXL_ROWS,
  ...HIRES_ROWS,
  ...RUN_ROWS,
};

export type OptionName = keyof typeof ROWS;

/** A row of which nothing but that is known. */
// biome-ignore lint/suspicious/noExplicitAny: what one row checks, another cannot take, and nothing here passes it on.
export type AnyRow = Row<any, any, readonly TaskName[]>;

/** The rows by name, where it does not matter which it is. */
export const ROW_LIST: readonly (readonly [OptionName, AnyRow])[] = Object.entries(ROWS) as [OptionName, AnyRow][];

/** The names of the options that a task has. */
export function optionsOf(task: TaskName): readonly OptionName[] {
  return ROW_LIST.filter(([, { tasks = TASKS }]) => tasks.includes(task)).map(([name]) => name);
}
