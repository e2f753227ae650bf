// The options that are parameters of an image by their rows: written where they are not the default, and read back.

import { toNumber } from '../core/values.ts';
import type { OptionParameters } from '../image/generation-parameters.ts';
import type { CheckedGenerationOptions } from './check.ts';
import type { FlagKind } from './row.ts';
import { type OptionName, ROW_LIST } from './rows.ts';

/** The parameters of a call. */
export function parametersOf(options: CheckedGenerationOptions): OptionParameters {
  const checked = options as Readonly<Partial<Record<OptionName, unknown>>>;
  const parameters = ROW_LIST.flatMap(([name, { rule, metadata }]) => {
    if (!metadata) return [];
    const { parameter = (value: unknown) => value } = metadata;
    return [[name, rule.isDefault(checked[name]) ? undefined : parameter(checked[name])]];
  });
  return Object.fromEntries(parameters);
}

/** What is written of them: keys and texts. */
export function parameterTexts(parameters: OptionParameters): [key: string, text: string | undefined][] {
  const values = parameters as Readonly<Partial<Record<OptionName, unknown>>>;
  return ROW_LIST.flatMap(([name, { metadata }]): [string, string | undefined][] => {
    if (!metadata) return [];
    const value = values[name];
    return [[metadata.key, Array.isArray(value) ? value.join(', ') : value === undefined ? undefined : String(value)]];
  });
}

/** What the fields of a text state of them: texts, and lists and pairs of texts. */
export function statedIn(fields: Readonly<Record<string, string>>): Partial<Record<OptionName, unknown>> {
  const stated = ROW_LIST.flatMap(([name, { rule, metadata }]) =>
    metadata ? [[name, partsOf(fields[metadata.key], rule.kind)]] : [],
  );
  return Object.fromEntries(stated);
}

/** What is stated of them as options, whose values are not checked yet. */
export function optionsStated(stated: Readonly<Partial<Record<OptionName, unknown>>>): Record<string, unknown> {
  return Object.fromEntries(
    ROW_LIST.filter(([, { metadata }]) => metadata).map(([name]) => [name, read(stated[name])]),
  );
}

function partsOf(text: string | undefined, kind: FlagKind): unknown {
  const parts = text?.split(kind === 'size' ? 'x' : ',').map((part) => part.trim());
  if (kind === 'numbers') return parts;
  if (kind !== 'size' && kind !== 'corner') return text;
  if (parts?.length !== 2) return undefined;
  return kind === 'size' ? { width: parts[0], height: parts[1] } : { top: parts[0], left: parts[1] };
}

function read(stated: unknown): unknown {
  if (Array.isArray(stated)) return stated.map(toNumber);
  if (typeof stated !== 'object' || stated === null) return toNumber(stated) ?? undefined;
  return Object.fromEntries(Object.entries(stated).map(([key, value]) => [key, toNumber(value) ?? undefined]));
}
