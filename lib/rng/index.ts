// Noise sources, by the name of the generator that they reproduce.

import { argumentError, describe } from '../core/errors.ts';
import { Mt19937Noise } from './mt19937.ts';
import { PhiloxNoise } from './philox.ts';
import { SEEDS } from './seed.ts';
import type { NoiseSource } from './types.ts';

export type { NoiseSource } from './types.ts';

const GENERATORS = { cuda: PhiloxNoise, cpu: Mt19937Noise };

/** Generator that an image's noise reproduces: `cuda`, torch's on a GPU, or `cpu`, torch's on the CPU. */
export type RngName = keyof typeof GENERATORS;

/** The names, in the order in which users see them. */
export const RNG_NAMES = Object.keys(GENERATORS) as readonly RngName[];

/**
 * Creates the generator of one image. Take the initial noise from it and then, in order, all noise of the sampler, as
 * programs with the same `rng` do: the same seed then gives the same image.
 *
 * @param seed integer from 0 to 2^64 - 1; a `number` only up to 2^53 - 1. `cpu` uses its lower 32 bits.
 * @throws RangeError or TypeError for any other seed.
 */
export function createNoise(rng: RngName, seed: number | bigint): NoiseSource {
  return new GENERATORS[rng](checkSeed(seed));
}

/**
 * Creates the generator of a batch: image i has its own source with the seed `seed + i` (modulo 2^64), so each image is
 * the same as if generated alone. `normal(n)` returns the noise of all images in order, n / batchSize numbers each.
 *
 * @param batchSize number of images, at least 1. `n` must be a multiple of it.
 */
export function createBatchNoise(rng: RngName, seed: number | bigint, batchSize: number): NoiseSource {
  const first = checkSeed(seed);
  const sources = Array.from({ length: batchSize }, (_, i) => createNoise(rng, BigInt.asUintN(64, first + BigInt(i))));
  return {
    normal(n) {
      const share = n / batchSize;
      if (!Number.isInteger(share)) throw notAMultiple(n, batchSize);
      const batch = new Float32Array(n);
      for (const [i, source] of sources.entries()) batch.set(source.normal(share), i * share);
      return batch;
    },
  };
}

function checkSeed(seed: number | bigint): bigint {
  if (typeof seed === 'number' && Number.isSafeInteger(seed) && seed >= 0) return BigInt(seed);
  if (typeof seed === 'bigint' && seed >= 0n && seed < SEEDS) return seed;
  throw argumentError([
    {
      name: 'seed',
      expected: 'an integer from 0 to 2^53 - 1 or a bigint from 0 to 2^64 - 1',
      received: describe(seed),
      code: typeof seed === 'number' || typeof seed === 'bigint' ? 'ERR_INVALID_ARG_VALUE' : 'ERR_INVALID_ARG_TYPE',
    },
  ]);
}

function notAMultiple(n: number, batchSize: number): Error {
  const expected = `a multiple of the batch size ${batchSize}`;
  return argumentError([{ name: 'n', expected, received: describe(n), code: 'ERR_INVALID_ARG_VALUE' }]);
}
