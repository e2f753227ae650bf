// Noise against torch's CPU generator, Random123's known answers and stable-diffusion.cpp. Goldens:
// test/reference/noise.py and stable_diffusion_cpp.cpp.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBatchNoise, createNoise, RNG_NAMES, type RngName } from '../../lib/rng/index.ts';
import { Mt19937 } from '../../lib/rng/mt19937.ts';
import { type Block, philox } from '../../lib/rng/philox.ts';
import { golden } from '../support/golden.ts';

interface Sample {
  indices: number[];
  values: number[];
  sum: number;
}

const reference = golden<{
  philox: { counter: Block; key: [number, number]; answer: number[] }[];
  words: { seed: string; last: number[] }[];
  uniforms: { seed: string; float32: number[]; float64: number[] }[];
  cpu: { seed: string; n: number; calls: Sample[]; then: Sample }[];
  cuda: { seed: string; n: number; calls: Sample[] }[];
}>('noise.json');

function assertNormals(actual: Float32Array, expected: Sample, tolerance: number): void {
  expected.indices.forEach((index, i) => {
    const error = Math.abs((actual[index] as number) - (expected.values[i] as number));
    assert.ok(error <= tolerance, `element ${index}: ${actual[index]} against ${expected.values[i]}`);
  });
  const sum = actual.reduce((total, value) => total + value, 0);
  assert.ok(
    Math.abs(sum - expected.sum) <= tolerance * Math.max(actual.length, 1),
    `sum ${sum} against ${expected.sum}`,
  );
}

test('Philox gives the known answers of Random123', () => {
  for (const { counter, key, answer } of reference.philox) assert.deepEqual([...philox(counter, key)], answer);
});

test('the Mersenne Twister gives the words of torch, past its second twist', () => {
  for (const { seed, last } of reference.words) {
    const generator = new Mt19937(BigInt(seed));
    const words = Array.from({ length: 1300 }, () => generator.word() & 0x7fffffff);
    assert.deepEqual(words.slice(-last.length), last);
  }
});

test('the Mersenne Twister gives the uniforms of torch.rand, in float32 and then in float64', () => {
  for (const { seed, float32, float64 } of reference.uniforms) {
    const generator = new Mt19937(BigInt(seed));
    assert.deepEqual(
      Array.from(float32, () => generator.uniform24()),
      float32,
    );
    assert.deepEqual(
      Array.from(float64, () => generator.uniform53()),
      float64,
    );
  }
});

for (const { seed, n, calls, then } of reference.cpu) {
  test(`cpu noise equals torch.randn(${n}) of seed ${seed}, call after call`, () => {
    const noise = createNoise('cpu', BigInt(seed));
    for (const call of calls) assertNormals(noise.normal(n), call, 2e-6);
    assertNormals(noise.normal(5), then, 2e-6);
  });
}

for (const { seed, n, calls } of reference.cuda) {
  test(`cuda noise of ${n} elements and seed ${seed} equals an independent Philox, call after call`, () => {
    const noise = createNoise('cuda', BigInt(seed));
    for (const call of calls) assertNormals(noise.normal(n), call, 2e-6);
  });
}

test('both generators give the noise of stable-diffusion.cpp, call after call', () => {
  const cases = golden<{ noise: (Record<`${RngName}${'First' | 'Second'}`, number[]> & { seed: string })[] }>(
    'stable_diffusion_cpp.json',
  ).noise;
  for (const expected of cases) {
    for (const rng of RNG_NAMES) {
      const noise = createNoise(rng, BigInt(expected.seed));
      for (const values of [expected[`${rng}First`], expected[`${rng}Second`]]) {
        const sum = values.reduce((total, value) => total + value, 0);
        assertNormals(noise.normal(values.length), { indices: [...values.keys()], values, sum }, 3e-6);
      }
    }
  }
});

test('a seed above 32 bits counts whole for cuda and by its lower half for cpu, as in torch', () => {
  const wide = 2n ** 32n + 7n;
  assert.deepEqual(createNoise('cpu', wide).normal(16), createNoise('cpu', 7).normal(16));
  assert.notDeepEqual(createNoise('cuda', wide).normal(16), createNoise('cuda', 7).normal(16));
});

test('a number and a bigint of the same value are the same seed', () => {
  for (const rng of RNG_NAMES) assert.deepEqual(createNoise(rng, 42).normal(20), createNoise(rng, 42n).normal(20));
});

test('image i of a batch gets the noise of seed + i, also past the last seed', () => {
  for (const rng of RNG_NAMES) {
    for (const seed of [41n, 2n ** 64n - 2n]) {
      const batch = createBatchNoise(rng, seed, 3);
      const alone = [0n, 1n, 2n].map((i) => createNoise(rng, BigInt.asUintN(64, seed + i)));
      for (let call = 0; call < 2; call++) {
        assert.deepEqual(
          [...batch.normal(60)],
          alone.flatMap((source) => [...source.normal(20)]),
        );
      }
    }
  }
});

test('a batch refuses a size that its images cannot share', () => {
  assert.throws(() => createBatchNoise('cpu', 0, 3).normal(16), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /multiple of.* 3/,
  });
});

const badSeeds: [unknown, string][] = [
  [-1, 'ERR_INVALID_ARG_VALUE'],
  [0.5, 'ERR_INVALID_ARG_VALUE'],
  [Number.NaN, 'ERR_INVALID_ARG_VALUE'],
  [Number.POSITIVE_INFINITY, 'ERR_INVALID_ARG_VALUE'],
  [2 ** 53, 'ERR_INVALID_ARG_VALUE'],
  [-1n, 'ERR_INVALID_ARG_VALUE'],
  [2n ** 64n, 'ERR_INVALID_ARG_VALUE'],
  ['42', 'ERR_INVALID_ARG_TYPE'],
  [undefined, 'ERR_INVALID_ARG_TYPE'],
];
for (const [seed, code] of badSeeds) {
  test(`the seed ${typeof seed} ${String(seed)} is refused`, () => {
    for (const rng of RNG_NAMES) {
      assert.throws(() => createNoise(rng, seed as number), { code, message: /seed/ });
      assert.throws(() => createBatchNoise(rng, seed as number, 2), { code, message: /seed/ });
    }
  });
}
