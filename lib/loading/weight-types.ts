// The types that weights can be converted to, and checks of the options that name them.

import { closest, describe } from '../core/errors.ts';
import type { NativeTypes } from '../native/contract.ts';
import type { OptionCheck } from '../options/check.ts';

/** The types that weights can be converted to, those with the most bits first. */
export const CONVERSION_TYPES = [
  ...(['f32', 'f16', 'bf16', 'q8_0', 'q6_k', 'q5_k', 'q5_1', 'q5_0', 'q4_k', 'q4_1', 'q4_0'] as const),
  ...(['iq4_nl', 'iq4_xs', 'q3_k', 'q2_k'] as const),
] as const;

/** A type that weights can be converted to. */
export type ConversionType = (typeof CONVERSION_TYPES)[number];

/** The types of safetensors files. */
export const PLAIN_TYPES: readonly ConversionType[] = ['f32', 'f16', 'bf16'];

type Rule = NativeTypes['rules'][number];

const MAX_RULES_LENGTH = 10_000;
/** Limits one expression: the time to match nested look-aheads grows with the square of their number. */
const MAX_PATTERN_LENGTH = 256;

/**
 * Checks the options `type` and `tensorTypeRules`; `check` collects the problems.
 *
 * @param types those that are possible.
 * @param remedy what to do about other types, if it is always the same.
 */
export function checkTypes(
  check: OptionCheck,
  types: readonly ConversionType[] = CONVERSION_TYPES,
  remedy = '',
): NativeTypes {
  const type = check.value('type');
  return {
    type: type === undefined ? '' : (typeOf(check, type, 'type', types, remedy) ?? ''),
    rules: rulesOf(check, types, remedy),
  };
}

function typeOf(
  check: OptionCheck,
  value: unknown,
  name: string,
  types: readonly ConversionType[],
  always: string,
): ConversionType | undefined {
  const expected = `one of ${types.join(', ')}`;
  if (typeof value !== 'string') {
    check.problem({ name, expected, received: describe(value), code: 'ERR_INVALID_ARG_TYPE' });
    return undefined;
  }
  const known = types.find((type) => type === value.toLowerCase());
  if (known) return known;
  const near = closest(value, types);
  const remedy = always || (near && `Did you mean '${near}'?`);
  check.problem({ name, expected, received: describe(value), ...(remedy ? { remedy } : {}) });
  return undefined;
}

/**
 * Expressions may contain commas and equals signs, types do not: a rule ends at a comma after an equals sign and a
 * word.
 */
function rulesOf(check: OptionCheck, types: readonly ConversionType[], remedy: string): Rule[] {
  const name = 'tensorTypeRules';
  const text = check.string(name, '', MAX_RULES_LENGTH);
  if (text === '') return [];
  const rules: Rule[] = [];
  for (const [rule] of text.matchAll(/.+?(?:=\w+(?:,|$)|$)/gs)) {
    const [, pattern, typeName] = /^(.+)=(\w+),?$/s.exec(rule) ?? [];
    if (pattern === undefined || !isExpression(pattern)) {
      check.problem({ name, expected: 'rules of the form regex=type,regex=type', received: describe(rule) });
      continue;
    }
    if (pattern.length > MAX_PATTERN_LENGTH) {
      const expected = `expressions of at most ${MAX_PATTERN_LENGTH} characters`;
      check.problem({ name, expected, received: describe(pattern) });
      continue;
    }
    const type = typeOf(check, typeName, name, types, remedy);
    if (type) rules.push({ pattern, type });
  }
  return rules;
}

function isExpression(pattern: string): boolean {
  try {
    new RegExp(pattern);
    return true;
  } catch {
    return false;
  }
}
