// Flow matching: noise levels and samplers against diffusers, k-diffusion and the definitions. Goldens: test/reference/flow.py.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type Denoiser,
  FlowLevels,
  FlowNoise,
  type FlowOptions,
  type NoiseModel,
  SAMPLERS,
  type SamplerContext,
  type SamplerName,
  SCHEDULERS,
  type SchedulerName,
  stableDiffusionTable,
} from '../../lib/index.ts';
import { recorded, recordedContext, start } from '../sampler/analytic.ts';
import { golden } from '../support/golden.ts';

interface Trajectory {
  sampler: SamplerName;
  eta: number | null;
  sigmas: number[];
  draws: number;
  steps: number[][];
}

const goldens = golden<{
  sigmas: { shift: number; steps: number; sigmas: number[]; timesteps: number[] }[];
  'k-diffusion': Trajectory[];
  diffusers: Trajectory[];
  definition: Trajectory[];
}>('flow.json');

/** Exact denoiser of data that is a mixture of N(-1, 1/4) and N(1, 1/4). */
const mixtureMean: Denoiser = async (x, sigma) => {
  const alpha = 1 - sigma;
  const variance = 0.25 * alpha ** 2 + sigma ** 2;
  return x.map((value) => (0.25 * alpha * value + sigma ** 2 * Math.tanh((alpha * value) / variance)) / variance);
};

function flowContext(noiseModel: FlowNoise, length: number, eta?: number) {
  return Object.assign(recordedContext(length, eta), { noiseModel });
}

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs((actual[i] as number) - (expected[i] as number));
    assert.ok(error <= tolerance, `element ${i}: ${actual[i]} against ${expected[i]}`);
  }
}

describe('the noise levels of flow models', () => {
  for (const { shift, steps, sigmas, timesteps } of goldens.sigmas) {
    test(`are those of diffusers with a shift of ${shift} and ${steps} steps`, () => {
      const noise = new FlowNoise({ shift });
      const levels = SCHEDULERS.sgm_uniform(steps, noise.levels);
      assertClose(levels, sigmas, 1e-6);
      assertClose(
        Array.from(levels.subarray(0, -1), (sigma) => noise.timestep(sigma)),
        timesteps,
        1e-3,
      );
    });
  }

  test('are reached and left again by every timestep', () => {
    for (const shift of [0.5, 1, 3, 12]) {
      const levels = new FlowLevels({ shift });
      assert.deepEqual([levels.minTimestep, levels.maxTimestep, levels.sigmas.length], [1, 1000, 1000]);
      assert.equal(levels.sigmas[999], levels.sigmaMax);
      assert.equal(levels.sigmas[0], levels.sigmaMin);
      for (const t of [1, 20, 250.25, 999, 1000]) {
        assert.ok(Math.abs(levels.timestepAt(levels.sigmaAt(t)) - t) < 1e-9);
        assert.equal(levels.nearestTimestep(levels.sigmaAt(t)), Math.round(t));
      }
      assert.deepEqual([levels.sigmaAt(-1), levels.sigmaAt(2000), levels.timestepAt(7)], [0, 1, 1000]);
      assert.equal(levels.nearestTimestep(0), 1);
    }
  });

  const published: readonly SchedulerName[] = ['ays', 'gits'];
  for (const name of (Object.keys(SCHEDULERS) as SchedulerName[]).filter((name) => !published.includes(name))) {
    test(`fall from at most 1 to 0 with the schedule ${name}`, () => {
      for (const shift of [1, 3]) {
        for (const steps of [1, 4, 28, 200]) {
          const { levels } = new FlowNoise({ shift });
          const sigmas = SCHEDULERS[name](steps, levels);
          assert.ok((sigmas[0] as number) <= 1 && sigmas.at(-1) === 0);
          assert.ok(sigmas.every((sigma, i) => i === 0 || sigma < (sigmas[i - 1] as number)));
          if (name !== 'lcm') assert.equal(sigmas.length <= steps + 1, true);
        }
      }
    });
  }

  for (const name of published) {
    test(`are refused by the schedule ${name}, which has those of Stable Diffusion`, () => {
      assert.throws(() => SCHEDULERS[name](10, new FlowNoise().levels), {
        code: 'ERR_INVALID_ARG_VALUE',
        message: /flow models, such as simple/,
      });
    });
  }

  const unreadable = {
    get shift(): number {
      throw new Error('unreadable');
    },
  };
  for (const [i, options] of [null, 3, 'x', [], { shif: 3 }, { shift: 3n }, unreadable].entries()) {
    test(`refuse options that are none: ${i}`, () => {
      for (const Class of [FlowNoise, FlowLevels]) {
        assert.throws(() => new Class(options as FlowOptions), { code: /^ERR_(INVALID_ARG_TYPE|UNKNOWN_OPTION)$/ });
      }
    });
  }

  for (const shift of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '3', null]) {
    test(`refuse a shift of ${JSON.stringify(shift)} (${String(shift)})`, () => {
      assert.throws(() => new FlowNoise({ shift } as FlowOptions), { code: /^ERR_INVALID_ARG_(VALUE|TYPE)$/ });
    });
  }
});

describe('samplers of flow models', () => {
  for (const [source, cases] of Object.entries(goldens)) {
    if (source === 'sigmas') continue;
    for (const { sampler, eta, sigmas, draws, steps } of cases as Trajectory[]) {
      const noise = `${eta === null ? '' : `, eta ${eta}`}`;
      test(`${sampler}${noise}, ${sigmas.length - 1} steps from ${sigmas[0]}: as ${source}`, async () => {
        const length = (steps[0] as number[]).length;
        const context = flowContext(new FlowNoise(), length, eta ?? undefined);
        const latents: Float32Array[] = [];
        const onStep: NonNullable<SamplerContext['onStep']> = ({ latent }) => void latents.push(latent.slice());
        await SAMPLERS[sampler].sampler(
          mixtureMean,
          start(length, sigmas[0] as number),
          Float64Array.from(sigmas),
          Object.assign(context, { onStep }),
        );
        assert.equal(context.draws, draws);
        for (const [i, expected] of steps.entries()) assertClose(latents[i] as Float32Array, expected, 1e-5);
      });
    }
  }

  const NOISE = new FlowNoise({ shift: 3 });
  /** A sequence of standard normal numbers that is the same each time. */
  function normals(seed: number): (length: number) => Float32Array {
    let state = seed;
    const uniform = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state + 0.5) / 2 ** 32;
    };
    return (length) =>
      Float32Array.from({ length }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
  }

  // The denoiser of N(1/2, 1/16) is exact: what comes out must be distributed so, which no wrong amount of fresh noise gives.
  for (const [sampler, eta] of [
    ['euler', 0],
    ['heun', 0],
    ['dpm++2m', 0],
    ['euler_a', 1],
    ['euler_a', 0.5],
    ['dpm++2s_a', 1],
    ['dpm++2m_sde', 1],
    ['dpm++2m_sde', 0.5],
    ['ddim_trailing', 0.7],
  ] as const) {
    test(`${sampler}, eta ${eta}: draws from the distribution of the data`, async () => {
      const [mean, variance, length] = [0.5, 1 / 16, 4000];
      const gaussian: Denoiser = async (x, sigma) => {
        const alpha = 1 - sigma;
        const gain = (alpha * variance) / (alpha ** 2 * variance + sigma ** 2);
        return x.map((value) => mean + gain * (value - alpha * mean));
      };
      const random = normals(7);
      const context = { noise: () => random(length), noiseModel: NOISE, table: stableDiffusionTable(), eta };
      const sigmas = SCHEDULERS.sgm_uniform(600, NOISE.levels);
      const result = await SAMPLERS[sampler].sampler(gaussian, random(length), sigmas, context);
      const average = result.reduce((a, b) => a + b) / length;
      const spread = result.reduce((a, b) => a + (b - average) ** 2, 0) / length;
      assert.ok(Math.abs(average - mean) < 0.02, `mean ${average}`);
      assert.ok(Math.abs(spread / variance - 1) < 0.1, `variance ${spread} of ${variance}`);
    });
  }
});

describe('the noise of a flow model', () => {
  const noise: NoiseModel = new FlowNoise({ shift: 3 });
  const [clean, random] = [Float32Array.of(1, -2, 0.5), Float32Array.from({ length: 3 }, (_, i) => recorded(i))];

  test('lies on the line between image and noise, and its velocity leads back to the image', () => {
    for (const sigma of [0.1, 0.5, 1]) {
      const x = noise.addNoise(clean, random, sigma);
      assertClose(
        x,
        Array.from(clean, (value, i) => (1 - sigma) * value + sigma * (random[i] as number)),
        1e-6,
      );
      const velocity = random.map((value, i) => value - (clean[i] as number));
      assertClose(noise.toDenoised(x, velocity, sigma), clean, 1e-6);
      assert.equal(noise.scaleInput(x, sigma), x);
      assert.equal(noise.alpha(sigma), 1 - sigma);
    }
  });

  test('starts from less than pure noise where a signal-to-noise ratio is needed, and above the next level', async () => {
    for (const next of [0.5, 0.9999, 0.99995, 1 - 2 ** -40]) {
      const [first = 0, second = 0] = noise.withFiniteSnr(Float64Array.of(1, next, 0));
      assert.ok(first < 1 && first > second && second === next, `${first} then ${second}`);
      const context = { noise: () => random, noiseModel: noise, table: stableDiffusionTable() };
      const result = await SAMPLERS['dpm++2m_sde'].sampler(
        mixtureMean,
        clean,
        Float64Array.of(1, next, 0.3, 0),
        context,
      );
      assert.ok(result.every(Number.isFinite));
    }
    assert.deepEqual(noise.withFiniteSnr(Float64Array.of(0.8, 0)), Float64Array.of(0.8, 0));
  });

  test('has no table for samplers that are defined on one', async () => {
    const context = {
      noise: () => random,
      noiseModel: noise,
      get table(): never {
        throw new Error('asked for');
      },
    };
    await assert.rejects(SAMPLERS.tcd.sampler(mixtureMean, clean, Float64Array.of(1, 0), context), /asked for/);
    await SAMPLERS.euler_a.sampler(mixtureMean, clean, Float64Array.of(1, 0.5, 0), context);
  });
});
