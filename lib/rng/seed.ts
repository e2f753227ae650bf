// Seeds: whole numbers of 64 bits. They are numbers as far as those are exact, up to 2^53 - 1, and bigints above.

/** One more than the largest seed. */
export const SEEDS = 2n ** 64n;

/** A whole number as a seed is given: a bigint only where a number would not be exact. */
export function asSeed(value: bigint): number | bigint {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER) ? Number(value) : value;
}

/** The seed `offset` after another. */
export function seedAfter(seed: number | bigint, offset: number): number | bigint {
  return asSeed(BigInt(seed) + BigInt(offset));
}

/** A seed that was written out, exact; undefined where the text is no whole number. */
export function readSeed(text: string): number | bigint | undefined {
  return /^\s*-?\d{1,20}\s*$/.test(text) ? asSeed(BigInt(text)) : undefined;
}
