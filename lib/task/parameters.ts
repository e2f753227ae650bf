// The options that are parameters of an image by their rows: as parameters, as fields of a text, and as options again.

import { toNumber } from '../core/values.ts';
import type { GenerationParameters } from '../image/generation-parameters.ts';
import type { CheckedGenerationOptions } from './check.ts';
import type { FlagKind, MetadataColumn, Rule } from './row.ts';
import { ROW_LIST } from './rows.ts';
import { type Fields, listOf, pairOf, type StatedValues } from './stated.ts';
import { TASKS } from './task.ts';

interface Column extends MetadataColumn<unknown> {
  readonly name: string;
  readonly rule: Rule<unknown, unknown>;
  /** Whether txt2img has the option. */
  readonly isOfText: boolean;
}

const COLUMNS: readonly Column[] = ROW_LIST.flatMap(([name, { rule, metadata, tasks = TASKS }]) =>
  metadata ? [{ ...metadata, name, rule, isOfText: tasks.includes('txt2img') }] : [],
);

/** The parameters of an image of a call. @param index of the image in the batch. */
export function parametersOf(checked: CheckedGenerationOptions, index: number): Partial<GenerationParameters> {
  const options = checked as Readonly<Record<string, unknown>>;
  const parameters = COLUMNS.map(({ name, rule, always, parameters }) => {
    const value = options[name];
    if (value === undefined || (!always && rule.isDefault(value))) return {};
    return parameters ? parameters(value as NonNullable<unknown>, { index, options }) : { [name]: value };
  });
  return Object.assign({}, ...parameters);
}

/** What is written of them: keys and texts. */
export function fieldsOf(parameters: GenerationParameters): [key: string, text: string | undefined][] {
  const values = parameters as unknown as Readonly<Record<string, unknown>>;
  return COLUMNS.flatMap(({ name, key, write }) =>
    Object.entries(write?.(parameters) ?? { [key]: textOf(values[name]) }),
  );
}

/** What the fields of a text state. @param line in which they are. */
export function statedIn(fields: Fields, line: string): StatedValues {
  const stated = COLUMNS.map(({ name, key, rule, read }) =>
    read ? read(fields, line) : { [name]: partsOf(fields[key], rule.kind) },
  );
  return Object.assign({}, ...stated);
}

/** What is stated as options of txt2img, whose values are not checked yet. */
export function optionsStated(stated: StatedValues, warnings: string[]): Record<string, unknown> {
  const options = COLUMNS.filter(({ isOfText }) => isOfText).map(
    ({ name, options }) => options?.(stated, warnings) ?? { [name]: numbersOf(stated[name]) },
  );
  return Object.assign({}, ...options);
}

function textOf(value: unknown): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value === undefined ? undefined : String(value);
}

function partsOf(text: string | undefined, kind: FlagKind): unknown {
  if (kind === 'numbers') return listOf(text);
  if (kind !== 'size' && kind !== 'corner') return text;
  const [first, second] = pairOf(text, kind === 'size' ? 'x' : ',') ?? [];
  if (first === undefined) return undefined;
  return kind === 'size' ? { width: first, height: second } : { top: first, left: second };
}

function numbersOf(stated: unknown): unknown {
  if (Array.isArray(stated)) return stated.map(toNumber);
  if (typeof stated !== 'object' || stated === null) return toNumber(stated) ?? undefined;
  return Object.fromEntries(Object.entries(stated).map(([key, value]) => [key, toNumber(value) ?? undefined]));
}
