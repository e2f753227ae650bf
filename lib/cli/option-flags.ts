// The flags that set options of tasks: those from the option rows, and those of ControlNets.

import { HIRES_PARTS } from '../task/hires-rows.ts';
import type { FlagColumn, Topic } from '../task/row.ts';
import { type AnyRow, ROW_LIST } from '../task/rows.ts';
import { TASKS } from '../task/task.ts';
import type { Flag } from './flag.ts';

/** The flags of all rows, in order. */
const ROW_FLAGS: readonly Flag[] = [
  ...ROW_LIST.flatMap(([name, row]) => flagsOf(name, row)),
  ...Object.entries(HIRES_PARTS).flatMap(([name, row]) =>
    flagsOf(`hires.${name as keyof typeof HIRES_PARTS}`, { ...row, tasks: ['txt2img'] }),
  ),
];

/** The flags of the rows under a help topic. */
export function rowFlags(topic: Topic): readonly Flag[] {
  return ROW_FLAGS.filter((flag) => flag.topic === topic);
}

function flagsOf(option: NonNullable<Flag['option']>, { rule, tasks = TASKS, flag = [] }: AnyRow): readonly Flag[] {
  return ([flag].flat() as readonly FlagColumn[]).map(({ also = [], kind = rule.kind, ...column }): Flag => {
    const choices = kind === 'text' && rule.choices ? { choices: rule.choices } : {};
    return { ...column, kind, option, on: [...tasks, ...also], ...choices };
  });
}

const CONTROL_VALUES = [
  ['control-net', 'text', 'model', 'file of a ControlNet; for several, give the flags of controls several times'],
  ['control-image', 'text', 'image', 'image that the ControlNet follows'],
  ['control-strength', 'number', 'strength', 'strength of the ControlNet (default: 1)'],
  ['control-start', 'number', 'start', 'share of the steps before the ControlNet is active, 0 to 1 (default: 0)'],
  ['control-end', 'number', 'end', 'share of the steps after which it is inactive (default: 1)'],
] as const;

export const CONTROL_FLAGS: readonly Flag[] = [
  ...CONTROL_VALUES.map(([name, kind, option, description]): Flag => {
    return { name, kind, topic: 'controls', option: `controls[].${option}`, repeats: true, description };
  }),
  { name: 'canny', kind: 'switch', topic: 'controls', description: 'show ControlNets the edges of their images' },
];
