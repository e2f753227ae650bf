// Budgets of memory as users write them.

import { describe } from '../core/errors.ts';
import type { NativeDevice } from '../native/contract.ts';
import { isArray, type OptionCheck } from '../options/check.ts';

/**
 * Most memory that the process (`cpu`) or a device may take: bytes, or text with a unit, `1.5GB` or `1536MiB`. `auto`
 * is what is free when a call begins.
 */
export type MemoryBudget = number | string;

/** Bytes by device; `auto` is resolved when a run begins. */
export type CheckedBudgets = ReadonlyMap<string, number | 'auto'>;

/** Most bytes on the device of a model, and of the process. Infinity for no budget. */
export interface MemoryLimits {
  readonly device: number;
  readonly process: number;
  /** Of the process when the model was loaded. */
  readonly base: number;
}

/** Of free memory that is kept back from `auto`: other programs need some meanwhile. */
const RESERVE = 0.1;

/**
 * @param base bytes of the process when the model was loaded.
 * @param held bytes that the model's networks hold on its device: free for a run, as it counts them too.
 */
export function limitsOf(
  budgets: CheckedBudgets,
  device: string,
  devices: readonly NativeDevice[],
  base: number,
  held: number,
): MemoryLimits {
  const bytesOf = (name: string, taken: number) => {
    const budget = budgets.get(name) ?? Number.POSITIVE_INFINITY;
    if (budget !== 'auto') return budget;
    const free = devices.find((one) => one.name === name)?.memoryFree;
    return free ? taken + free * (1 - RESERVE) : Number.POSITIVE_INFINITY;
  };
  const onCpu = device === 'cpu';
  const process = bytesOf('cpu', base + (onCpu ? held : 0));
  return { device: onCpu ? process : bytesOf(device, held), process, base };
}

const UNITS: Readonly<Record<string, number>> = {
  ...{ '': 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 },
  ...{ KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30, TIB: 2 ** 40 },
};
const TEXT = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/;
const EXPECTED = "a number of bytes, a size such as '1.5GB' or '800MiB', or 'auto'";
/** Budgets of less are mistakes: the process itself takes more. */
const LEAST = 2 ** 20;

/** The bytes that a text stands for; undefined if it is not a size. */
export function readBytes(text: string): number | undefined {
  const [, number, unit = ''] = TEXT.exec(text) ?? [];
  const factor = UNITS[unit.toUpperCase()];
  return number === undefined || factor === undefined ? undefined : Math.floor(Number(number) * factor);
}

/**
 * Checks the option `memory`; `check` collects the problems.
 *
 * @param device that of the model: one budget is for it.
 * @param nameOf the name of the device that another name, such as `cuda`, stands for.
 */
export function checkMemory(
  check: OptionCheck,
  device: string,
  nameOf: (name: string) => string,
): CheckedBudgets | undefined {
  const value = check.value('memory');
  if (value === undefined) return undefined;
  const budgets = new Map<string, number | 'auto'>();
  const isRecord = typeof value === 'object' && value !== null && !isArray(value);
  const names = [...new Set([device, 'cpu'])];
  if (isRecord && Object.keys(value).length === 0) {
    check.problem({ name: 'memory', expected: `budgets of ${names.join(' and ')}`, received: 'none' });
  }
  for (const [name, budget] of isRecord ? Object.entries(value) : [[device, value] as const]) {
    const option = isRecord ? `memory.${name}` : 'memory';
    const bytes = checkBudget(budget);
    if (!names.includes(nameOf(name))) {
      check.problem({
        name: 'memory',
        expected: `budgets of ${names.join(' and ')}`,
        received: `one of ${describe(name)}`,
      });
    } else if (bytes === undefined) {
      const code = ['string', 'number'].includes(typeof budget) ? 'ERR_INVALID_ARG_VALUE' : 'ERR_INVALID_ARG_TYPE';
      const expected = isRecord ? EXPECTED : `${EXPECTED}, or an object of them by device`;
      check.problem({ name: option, expected, received: describe(budget), code });
    } else {
      budgets.set(nameOf(name), bytes);
    }
  }
  return budgets;
}

function checkBudget(budget: unknown): number | 'auto' | undefined {
  if (budget === 'auto') return 'auto';
  const bytes = typeof budget === 'string' ? readBytes(budget) : budget;
  return typeof bytes === 'number' && bytes >= LEAST && bytes <= Number.MAX_SAFE_INTEGER
    ? Math.floor(bytes)
    : undefined;
}

/** Bytes as messages have them. */
export function sizeText(bytes: number): string {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
