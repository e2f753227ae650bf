// Values given as text, or absent.

/** Converts text to the number in it. Other values are returned unchanged, so that messages can show them. */
export function toNumber(value: unknown): unknown {
  return typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value)) ? Number(value) : value;
}

/** Converts values that are texts to the numbers in them; null becomes undefined. */
export function toNumbers(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, toNumber(value) ?? undefined]));
}

/** Removes the undefined properties of an object. */
export function withoutUndefined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
