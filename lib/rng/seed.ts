// Seeds: 64-bit integers. They are numbers while those are exact, up to 2^53 - 1, and bigints above.

/** One more than the largest seed. */
export const SEEDS = 2n ** 64n;

/** An integer in the form that seeds have: a bigint only if a number would not be exact. */
export function asSeed(value: bigint): number | bigint {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER) ? Number(value) : value;
}

/** The seed `offset` after another. */
export function seedAfter(seed: number | bigint, offset: number): number | bigint {
  return asSeed(BigInt(seed) + BigInt(offset));
}

/** An exact seed from text; undefined if the text is not an integer. */
export function readSeed(text: string): number | bigint | undefined {
  return /^\s*-?\d{1,20}\s*$/.test(text) ? asSeed(BigInt(text)) : undefined;
}
