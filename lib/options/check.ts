// Checks the options of a call: collects all problems and reports them in one error.

import { types } from 'node:util';
import { isAbortSignal } from '../async/abort.ts';
import {
  type ArgumentErrorCode,
  type ArgumentProblem,
  argumentError,
  closest,
  describe,
  isArgumentError,
  LONGEST_QUOTE,
} from '../core/errors.ts';

export const MAX_PATH_LENGTH = 4096;
/** Maximum number of unknown options reported in one error. */
const MAX_UNKNOWN = 8;

/** The allowed range of a number. Bounds are inclusive. */
export interface NumberRule {
  readonly min: number;
  readonly max: number;
  readonly integer?: boolean;
}

/**
 * Checks the options of one call. Each method returns the option's value, or the fallback if it is absent or invalid;
 * {@link done} throws if anything was invalid. An option that is `undefined` counts as absent.
 */
export class OptionCheck {
  readonly #values = new Map<string, unknown>();
  readonly #problems: ArgumentProblem[] = [];

  /**
   * @param options the caller's options. Each is read only once, here.
   * @param known all options of the call.
   * @param name of `options` in messages.
   * @param prefix of the option names, in calls of this class and in messages.
   */
  constructor(options: unknown, known: readonly string[], name = 'options', expected = 'an object', prefix = '') {
    if (!isOptions(options)) {
      this.#wrongType(name, expected, options, undefined);
      return;
    }
    const wholeNames = known.map((option) => prefix + option);
    const given = this.attempt(() => keysOf(options, name)) ?? [];
    for (const option of given.filter((key) => !known.includes(key)).slice(0, MAX_UNKNOWN)) {
      this.#unknownOption(prefix + option, wholeNames);
    }
    for (const [i, option] of known.entries()) {
      const wholeName = wholeNames[i] as string;
      this.#values.set(
        wholeName,
        this.attempt(() => memberOf(options, option, wholeName)),
      );
    }
  }

  /** An option as given, for custom checks. */
  value(name: string): unknown {
    return this.#values.get(name);
  }

  number(name: string, fallback: number, rule: NumberRule): number {
    const value = this.value(name);
    if (value === undefined) return fallback;
    const expected = describeRule(rule);
    if (typeof value !== 'number') return this.#wrongType(name, expected, value, fallback);
    const fits = value >= rule.min && value <= rule.max && (!rule.integer || Number.isInteger(value));
    if (fits) return value;
    this.problem({ name, expected, received: describe(value) });
    return fallback;
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.value(name);
    if (value === undefined || typeof value === 'boolean') return value ?? fallback;
    return this.#wrongType(name, 'true or false', value, fallback);
  }

  /** @param maxLength in UTF-16 units. */
  string(name: string, fallback: string, maxLength: number): string {
    const value = this.value(name);
    if (value === undefined) return fallback;
    if (typeof value !== 'string') return this.#wrongType(name, 'a string', value, fallback);
    if (value.length <= maxLength) return value;
    this.problem({ name, expected: `at most ${maxLength} characters`, received: describe(value) });
    return fallback;
  }

  /** The required path of a file or folder. */
  path(name: string): string {
    const value = this.value(name);
    const [expected, code] = ['a path', 'ERR_INVALID_ARG_TYPE'] as const;
    if (typeof value !== 'string') this.problem({ name, expected, received: describe(value), code });
    else if (value.length > MAX_PATH_LENGTH || value === '' || value.includes('\0')) {
      const received = value.includes('\0') ? 'one with a zero byte' : describe(value);
      this.problem({ name, expected: `a path of 1 to ${MAX_PATH_LENGTH} characters`, received });
    } else return value;
    return '';
  }

  /** One of a list of names. The error for another name lists all and suggests the closest. */
  name<T extends string>(name: string, fallback: T, names: readonly T[]): T {
    const value = this.value(name);
    if (value === undefined) return fallback;
    const expected = `one of ${names.join(', ')}`;
    if (typeof value !== 'string') return this.#wrongType(name, expected, value, fallback);
    if (names.includes(value as T)) return value as T;
    this.problem({ name, expected, received: describe(value), ...didYouMean(value, names) });
    return fallback;
  }

  /** A function; undefined if absent. */
  callback<F>(name: string): F | undefined {
    const value = this.value(name);
    if (value === undefined || typeof value === 'function') return value as F | undefined;
    return this.#wrongType(name, 'a function', value, undefined);
  }

  /** An object; undefined if absent. */
  object<T extends object>(name: string): T | undefined {
    const value = this.value(name);
    if (value === undefined || (typeof value === 'object' && value !== null)) return value as T | undefined;
    return this.#wrongType(name, 'an object', value, undefined);
  }

  /**
   * The entries of an array; undefined if absent.
   *
   * @param most maximum length. A longer array is rejected before any entry is read.
   * @param tooMany what was expected, for a longer array.
   */
  list(name: string, expected: string, most: number, tooMany = expected): readonly unknown[] | undefined {
    const value = this.value(name) ?? undefined;
    if (value === undefined) return undefined;
    if (!isArray(value)) return this.#wrongType(name, expected, value, undefined);
    return this.attempt(() => entriesOf(value, name, most, tooMany));
  }

  /** An AbortSignal; undefined if absent. */
  signal(): AbortSignal | undefined {
    const value = this.value('signal');
    if (value === undefined || isAbortSignal(value)) return value;
    return this.#wrongType('signal', 'an AbortSignal', value, undefined);
  }

  /** Runs a check that throws an argument error, and adds its problems. */
  attempt<T>(check: () => T): T | undefined {
    try {
      return check();
    } catch (error) {
      if (!isArgumentError(error)) throw error;
      this.#problems.push(...error.problems);
      return undefined;
    }
  }

  /** Adds a problem; its code is that of an invalid value unless given. */
  problem(problem: Omit<ArgumentProblem, 'code'> & { readonly code?: ArgumentErrorCode }): void {
    this.#problems.push({ code: 'ERR_INVALID_ARG_VALUE', ...problem });
  }

  /** @throws TypeError or RangeError with all problems, if there are any. */
  done(): void {
    const problems = this.#problems.splice(0);
    if (problems.length > 0) throw argumentError(problems);
  }

  #wrongType<T>(name: string, expected: string, value: unknown, fallback: T): T {
    this.problem({ name, expected, received: describe(value), code: 'ERR_INVALID_ARG_TYPE' });
    return fallback;
  }

  #unknownOption(name: string, known: readonly string[]): void {
    const expected = `an option that exists (${known.join(', ')})`;
    const received = 'an unknown name';
    const short = name.length <= LONGEST_QUOTE ? name : describe(name);
    this.problem({ name: short, expected, received, code: 'ERR_UNKNOWN_OPTION', ...didYouMean(name, known) });
  }
}

/**
 * Checks a path that is a separate argument.
 *
 * @throws TypeError or RangeError if it is invalid.
 */
export function checkPath(path: unknown, name = 'path'): string {
  const check = new OptionCheck({ [name]: path }, [name]);
  const checked = check.path(name);
  check.done();
  return checked;
}

/**
 * Checks an object that is an option of a call. Its keys have their full names, `name.key`, in the check and in
 * messages.
 *
 * @param name of the option.
 */
export function within(value: unknown, name: string, known: readonly string[]): OptionCheck {
  return new OptionCheck(value, known, name, `an object { ${known.join(', ')} }`, `${name}.`);
}

/**
 * Reads a property of a user's object, which may be a getter.
 *
 * @param name of the property in messages.
 * @throws TypeError if the getter throws.
 */
export function memberOf(object: object, key: PropertyKey, name: string): unknown {
  try {
    return Reflect.get(object, key);
  } catch {
    throw unreadable(name);
  }
}

/** Like `Array.isArray`, which throws for a revoked proxy. */
export function isArray(value: unknown): value is unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

/**
 * Copies the entries of a user's array, by index, because it may have a custom iterator.
 *
 * @param most maximum length. A longer array is rejected before any entry is read.
 * @param expected what was expected, for a longer array.
 */
export function entriesOf(array: ArrayLike<unknown>, name: string, most: number, expected: string): unknown[] {
  const length = memberOf(array, 'length', `${name}.length`);
  if (typeof length !== 'number' || length > most) {
    throw argumentError([{ name, expected, received: describe(length), code: 'ERR_INVALID_ARG_VALUE' }]);
  }
  return Array.from({ length }, (_, i) => memberOf(array, i, `${name}[${i}]`));
}

/**
 * Copies a user's list of numbers, an array or a typed array.
 *
 * @param most maximum length.
 * @param expected description of the list for messages.
 * @throws TypeError for anything else, RangeError for more numbers.
 */
export function numbersOf(list: unknown, name: string, most: number, expected: string): number[] {
  const wrong = (received: string) => argumentError([{ name, expected, received, code: 'ERR_INVALID_ARG_TYPE' }]);
  if (!isArray(list) && !types.isTypedArray(list)) throw wrong(describe(list));
  const values = entriesOf(list as ArrayLike<unknown>, name, most, `at most ${most} numbers`);
  const other = values.findIndex((value) => typeof value !== 'number');
  if (other >= 0) throw wrong(`${describe(values[other])} at index ${other}`);
  return values as number[];
}

function keysOf(options: object, name: string): string[] {
  try {
    return Object.keys(options);
  } catch {
    throw unreadable(name);
  }
}

function unreadable(name: string): Error {
  const received = 'one that throws when it is read';
  return argumentError([{ name, expected: 'a value', received, code: 'ERR_INVALID_ARG_TYPE' }]);
}

/** Whether an object is a plain set of options, and not an array, a URL, a date or a map, of any realm. */
function isOptions(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  try {
    return ['[object Object]', '[object Module]'].includes(Object.prototype.toString.call(value));
  } catch {
    return false;
  }
}

function didYouMean(word: string, known: readonly string[]): { remedy?: string } {
  const near = closest(word, known);
  return near ? { remedy: `Did you mean '${near}'?` } : {};
}

function describeRule({ min, max, integer }: NumberRule): string {
  const kind = integer ? 'an integer' : 'a finite number';
  if (max < Number.MAX_VALUE) return `${kind} from ${min} to ${max}`;
  return min > -Number.MAX_VALUE ? `${kind} of at least ${min}` : kind;
}
