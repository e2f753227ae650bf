// What the text of a flag stands for.

/** The text of a flag; undefined where it is not given. */
export function textOf(value: string | true | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** What is no number stays as it was typed, so that the message about it can show it. */
export function toNumber(value: string | true | undefined): unknown {
  return typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value)) ? Number(value) : value;
}
