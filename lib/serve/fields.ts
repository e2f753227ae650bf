// Reads the fields of a request, and knows afterwards which of them nobody asked for.

import { argumentError, describe } from '../core/errors.ts';

/** The fields of a JSON object. Those that are null count as absent. */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #prefix: string;
  readonly #seen = new Set<string>();
  readonly #inner: Fields[] = [];

  /** @param prefix of the names in messages: `hires.`. */
  constructor(values: Readonly<Record<string, unknown>>, prefix = '') {
    this.#values = values;
    this.#prefix = prefix;
  }

  take(name: string): unknown {
    this.#seen.add(name);
    return Object.hasOwn(this.#values, name) ? (this.#values[name] ?? undefined) : undefined;
  }

  /** A text, or undefined. @throws TypeError for anything else. */
  text(name: string): string | undefined {
    const value = this.take(name);
    if (value === undefined || typeof value === 'string') return value;
    throw this.wrong(name, 'a string', value);
  }

  /** A number, or undefined. @throws TypeError for anything else. */
  number(name: string): number | undefined {
    const value = this.take(name);
    if (value === undefined || typeof value === 'number') return value;
    throw this.wrong(name, 'a number', value);
  }

  /** Whether a field is on; numbers other than 0 are. @throws TypeError for anything else. */
  flag(name: string): boolean | undefined {
    const value = this.take(name);
    if (value === undefined || typeof value === 'boolean') return value;
    if (typeof value === 'number') return value !== 0;
    throw this.wrong(name, 'true or false', value);
  }

  /** The fields of an object, none where it is absent. @throws TypeError for anything else. */
  object(name: string): Fields {
    const value = this.take(name) ?? {};
    if (typeof value !== 'object' || Array.isArray(value)) throw this.wrong(name, 'an object', value);
    const inner = new Fields(value as Record<string, unknown>, `${this.#prefix}${name}.`);
    this.#inner.push(inner);
    return inner;
  }

  /** A list, empty where it is absent. @throws TypeError for anything else. */
  list(name: string): readonly unknown[] {
    const value = this.take(name) ?? [];
    if (Array.isArray(value)) return value;
    throw this.wrong(name, 'an array', value);
  }

  /** The objects of a list. @throws TypeError for anything else. */
  objects(name: string): Fields[] {
    return this.list(name).map((value, i) => {
      if (typeof value !== 'object' || value === null) throw this.wrong(`${name}[${i}]`, 'an object', value);
      const inner = new Fields(value as Record<string, unknown>, `${this.#prefix}${name}[${i}].`);
      this.#inner.push(inner);
      return inner;
    });
  }

  /**
   * Fields of what is not supported.
   *
   * @param harmless the values that change nothing; absent, empty and false ones do not either.
   * @throws RangeError for any other value: leaving it out would give another image than was asked for.
   */
  refuse(names: readonly string[], ...harmless: readonly unknown[]): void {
    for (const name of names) {
      const value = this.take(name);
      const isEmpty = value === '' || value === false || value === undefined || isEmptyObject(value);
      if (isEmpty || harmless.includes(value)) continue;
      const expected = 'nothing, as this is not supported,';
      throw argumentError([{ ...this.#problem(name, expected, value), code: 'ERR_INVALID_ARG_VALUE' }]);
    }
  }

  /** Fields that say nothing about the image. */
  ignore(...names: readonly string[]): void {
    for (const name of names) this.#seen.add(name);
  }

  wrong(name: string, expected: string, value: unknown): Error {
    return argumentError([{ ...this.#problem(name, expected, value), code: 'ERR_INVALID_ARG_TYPE' }]);
  }

  /** The fields that are given but unknown. */
  unknown(): string[] {
    const own = Object.keys(this.#values).filter((name) => !this.#seen.has(name));
    return [...own.map((name) => this.#prefix + name), ...this.#inner.flatMap((inner) => inner.unknown())];
  }

  #problem(name: string, expected: string, value: unknown) {
    return { name: this.#prefix + name, expected, received: describe(value) };
  }
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
