// Schedules against stable-diffusion.cpp and diffusers. Goldens: test/reference/stable_diffusion_cpp.cpp, samplers.py.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SigmaTable, stableDiffusionTable } from '../../lib/noise-model/index.ts';
import { customSigmas, SCHEDULER_NAMES, SCHEDULERS, type SchedulerName } from '../../lib/schedule/index.ts';
import { golden } from '../support/golden.ts';

const table = stableDiffusionTable();

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs((actual[i] as number) - (expected[i] as number));
    const scale = Math.max(1, Math.abs(expected[i] as number));
    assert.ok(error <= tolerance * scale, `element ${i}: ${actual[i]} against ${expected[i]}`);
  }
}

const { schedules } = golden<{ schedules: Record<SchedulerName, Record<string, number[]>> }>(
  'stable_diffusion_cpp.json',
);

test('the goldens of stable-diffusion.cpp cover every schedule', () => {
  assert.deepEqual(new Set(Object.keys(schedules)), new Set(SCHEDULER_NAMES));
});

/** The most steps that a schedule gives before two of them meet in one timestep. */
const mostSteps: Record<SchedulerName, number> = {
  ...(Object.fromEntries(SCHEDULER_NAMES.map((name) => [name, 1000])) as Record<SchedulerName, number>),
  smoothstep: 77,
  beta: 138,
  lcm: 50,
};
const stepCounts = [...Array.from({ length: 150 }, (_, i) => i + 1), 250, 333, 500, 777, 999, 1000];

for (const name of SCHEDULER_NAMES) {
  for (const [steps, expected] of Object.entries(schedules[name])) {
    test(`${name} with ${steps} steps gives the sigmas of stable-diffusion.cpp`, () => {
      assertClose(SCHEDULERS[name](Number(steps), table), expected, 1e-5);
    });
  }

  test(`${name} falls strictly from the top to 0, and gives all steps up to ${mostSteps[name]}`, () => {
    for (const steps of stepCounts) {
      const sigmas = SCHEDULERS[name](steps, table);
      if (steps <= mostSteps[name]) assert.equal(sigmas.length, steps + 1);
      else assert.ok(sigmas.length >= 2 && sigmas.length < steps + 1, `${steps} steps: ${sigmas.length} sigmas`);
      const falls = sigmas.every((sigma, i) => i === 0 || sigma < (sigmas[i - 1] as number));
      assert.ok(falls, `${steps} steps: ${sigmas}`);
      assert.equal(sigmas.at(-1), 0);
      assertClose([sigmas[0] as number], [table.sigmaMax], 1e-6);
    }
  });
}

test("the table has the sigmas of diffusers' schedulers in float64", () => {
  const { diffusers } = golden<{ diffusers: { sampler: string; sigmas: number[] }[] }>('samplers.json');
  for (const { sampler, sigmas } of diffusers) {
    const schedule = sampler === 'ddim_trailing' ? SCHEDULERS.simple : SCHEDULERS.lcm;
    assertClose(schedule(sigmas.length - 1, table), sigmas, 1e-12);
  }
});

test('timesteps and sigmas turn into each other, also between training steps', () => {
  for (const t of [0, 0.25, 1, 17.5, 500, 998.75, 999]) {
    assert.ok(Math.abs(table.timestepAt(table.sigmaAt(t)) - t) < 1e-9, `timestep ${t}`);
  }
  assert.equal(table.sigmaAt(0), table.sigmaMin);
  assertClose([table.sigmaAt(3.5)], [Math.sqrt((table.sigmas[3] as number) * (table.sigmas[4] as number))], 1e-12);
});

test('what lies outside the table is clamped to its ends', () => {
  assert.equal(table.timestepAt(1e-6), 0);
  assert.equal(table.timestepAt(0), 0);
  assert.equal(table.timestepAt(700), 999);
  assert.equal(table.sigmaAt(-3), table.sigmaAt(0));
  assert.equal(table.sigmaAt(2000), table.sigmaAt(999));
  assert.equal(table.nearestTimestep(0), 0);
  assert.equal(table.nearestTimestep(700), 999);
});

test('the nearest timestep is the one whose sigma differs least', () => {
  for (const sigma of [0.03, 0.5, 1.7, 13.9, table.sigmas[321] as number]) {
    const distances = Array.from(table.sigmas, (known) => Math.abs(known - sigma));
    assert.equal(table.nearestTimestep(sigma), distances.indexOf(Math.min(...distances)));
  }
});

test('another model brings another table', () => {
  const other = new SigmaTable([0.9, 0.5, 0.1]);
  assertClose(other.sigmas, [1 / 3, 1, 3], 1e-12);
  assertClose(SCHEDULERS.discrete(3, other), [3, 1, 1 / 3, 0], 1e-12);
  assert.equal(other.maxTimestep, 2);
});

const badTables: number[][] = [
  [],
  [0.9],
  [0.9, 0.9],
  [0.1, 0.9],
  [0.9, 0],
  [1, 0.5],
  [0.9, Number.NaN],
  [Infinity, 0.5],
];
for (const alphas of badTables) {
  test(`a table of alphas [${alphas}] is refused`, () => {
    assert.throws(() => new SigmaTable(alphas), {
      name: 'RangeError',
      code: 'ERR_INVALID_ARG_VALUE',
      message: /alphas/,
    });
  });
}

test('custom sigmas are taken as they are', () => {
  assert.deepEqual(customSigmas([14, 3, 0.5, 0]), Float64Array.of(14, 3, 0.5, 0));
  assert.deepEqual(customSigmas(Float32Array.of(2, 0)), Float64Array.of(2, 0));
});

const badSigmas: [unknown, string, RegExp][] = [
  [[], 'ERR_INVALID_ARG_VALUE', /array of 0/],
  [[0], 'ERR_INVALID_ARG_VALUE', /array of 1/],
  [[3, 1], 'ERR_INVALID_ARG_VALUE', /1 at the end/],
  [[3, 3, 0], 'ERR_INVALID_ARG_VALUE', /3 at index 1/],
  [[1, 2, 0], 'ERR_INVALID_ARG_VALUE', /2 at index 1/],
  [[3, -1, 0], 'ERR_INVALID_ARG_VALUE', /0 at index 2/],
  [[Number.NaN, 0], 'ERR_INVALID_ARG_VALUE', /NaN at index 0/],
  [[Number.POSITIVE_INFINITY, 0], 'ERR_INVALID_ARG_VALUE', /Infinity at index 0/],
  [[3, '1', 0], 'ERR_INVALID_ARG_TYPE', /'1' at index 1/],
  [[3, undefined, 0], 'ERR_INVALID_ARG_TYPE', /undefined at index 1/],
  ['3,1,0', 'ERR_INVALID_ARG_TYPE', /'3,1,0'/],
  [{ length: 2 }, 'ERR_INVALID_ARG_TYPE', /object/],
  [null, 'ERR_INVALID_ARG_TYPE', /null/],
  [new DataView(new ArrayBuffer(16)), 'ERR_INVALID_ARG_TYPE', /DataView/],
  [BigInt64Array.of(3n, 0n), 'ERR_INVALID_ARG_TYPE', /3n at index 0/],
];
for (const [sigmas, code, message] of badSigmas) {
  test(`custom sigmas that are refused with ${message}`, () => {
    assert.throws(() => customSigmas(sigmas as number[], 'sigmas'), { code, message });
  });
}
