// What the text of a flag stands for.

/** What is no number stays as it was typed, so that the message about it can show it. */
export function toNumber(value: string | true | undefined): unknown {
  return typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value)) ? Number(value) : value;
}
