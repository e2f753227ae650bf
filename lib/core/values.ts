// Values that come as text, or not at all.

/** The number that a text stands for; anything else is returned as it is, so that messages can show it. */
export function toNumber(value: unknown): unknown {
  return typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value)) ? Number(value) : value;
}

/** The values that are texts as the numbers that they stand for; null is undefined. */
export function toNumbers(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, toNumber(value) ?? undefined]));
}

/** An object without its undefined members. */
export function withoutUndefined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
