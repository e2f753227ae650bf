// Prediction types against diffusers, and guidance. Goldens: test/reference/prediction.py; of guidance in test/pipeline.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { denoiserFor, type Guidance, guide, NO_GUIDANCE, type PredictEach } from '../../lib/guidance/index.ts';
import {
  DiffusionNoise,
  PREDICTION_TYPES,
  type PredictionType,
  stableDiffusionTable,
} from '../../lib/noise-model/index.ts';
import { golden } from '../support/golden.ts';

interface Case {
  prediction: PredictionType;
  timestep: number;
  alphaCumprod: number;
  latent: number[];
  predicted: number[];
  denoised: number[];
}

const cases = golden<Case[]>('prediction.json');
const table = stableDiffusionTable();

test('the goldens cover every prediction type', () => {
  assert.deepEqual(new Set(cases.map((c) => c.prediction)), new Set(PREDICTION_TYPES));
});

for (const { prediction, timestep, alphaCumprod, latent, predicted, denoised } of cases) {
  test(`${prediction} at timestep ${timestep} denoises as diffusers does`, async () => {
    const sigma = Math.sqrt((1 - alphaCumprod) / alphaCumprod);
    const seen: { latent: Float32Array; timestep: number }[] = [];
    const denoise = denoiserFor(async (scaled, t) => {
      seen.push({ latent: scaled, timestep: t });
      return Float32Array.from(predicted);
    }, new DiffusionNoise(prediction, table));
    const x = Float32Array.from(latent, (value) => value / Math.sqrt(alphaCumprod));
    const before = x.slice();
    const result = await denoise(x, sigma);
    assert.deepEqual(x, before);
    assert.equal(seen.length, 1);
    assert.ok(Math.abs((seen[0]?.timestep as number) - timestep) < 1e-9);
    for (let i = 0; i < latent.length; i++) {
      assert.ok(Math.abs((seen[0]?.latent[i] as number) - (latent[i] as number)) < 1e-6);
      const expected = denoised[i] as number;
      const error = Math.abs((result[i] as number) - expected);
      assert.ok(error <= 1e-5 * Math.max(1, Math.abs(expected)), `element ${i}: ${result[i]} against ${expected}`);
    }
  });
}

test('a noise level between two training steps reaches the network as a timestep between them', async () => {
  let timestep = 0;
  const denoise = denoiserFor(async (latent, t) => {
    timestep = t;
    return latent;
  }, new DiffusionNoise('epsilon', table));
  await denoise(new Float32Array(4), table.sigmaAt(500.25));
  assert.ok(Math.abs(timestep - 500.25) < 1e-9);
});

const PROMPTS = { conditional: 5, unconditional: -2, unconditionalImage: -4, perturbed: 1 };

test('a rejection of the network passes through the denoiser and the guidance', async () => {
  const reason = new Error('stop');
  const guided = guide(() => Promise.reject(reason), PROMPTS, { ...NO_GUIDANCE, scale: 7 }, 1);
  await assert.rejects(denoiserFor(guided, new DiffusionNoise('v', table))(new Float32Array(4), 1), reason);
});

/** A network that answers every condition with its own constant, and the conditions of each evaluation. */
function constantNetwork() {
  const evaluations: (readonly number[])[] = [];
  const predictEach: PredictEach<number> = async (latent, _timestep, conditions) => {
    evaluations.push(conditions);
    return conditions.map((condition) => latent.map((value) => value + condition));
  };
  return { evaluations, predictEach };
}

const GUIDED: [guidance: Partial<Guidance>, evaluated: number[], expected: number][] = [
  [{ scale: 0 }, [-2], -2],
  [{ scale: 0.5 }, [5, -2], 1.5],
  [{ scale: 1 }, [5], 5],
  [{ scale: 1.5 }, [5, -2], 8.5],
  [{ scale: 7.5 }, [5, -2], 50.5],
  [{ scale: 1e6 }, [5, -2], 6_999_998],
  [{ perturbedScale: 3 }, [5, 1], 17],
  [{ scale: 1.5, perturbedScale: 3 }, [5, -2, 1], 20.5],
  [{ scale: 0, perturbedScale: 3 }, [5, -2, 1], 10],
  [{ imageScale: 1.5 }, [5, -2, -4], 6],
  [{ imageScale: 2, scale: 2 }, [5, -4], 14],
  [{ imageScale: 0, scale: 0 }, [-4], -4],
  [{ imageScale: 2, scale: 0 }, [-2, -4], 0],
  [{ rescale: 1 }, [5], 5],
  [{ scale: 1.5, rescale: 1 }, [5, -2], 8.5],
];
for (const [guidance, evaluated, expected] of GUIDED) {
  test(`${JSON.stringify(guidance)} evaluates ${evaluated.length} of the conditions at once`, async () => {
    const { evaluations, predictEach } = constantNetwork();
    const guided = guide(predictEach, PROMPTS, { ...NO_GUIDANCE, ...guidance }, 1);
    assert.deepEqual(await guided(new Float32Array(3), 10), new Float32Array(3).fill(expected));
    assert.deepEqual(evaluations, [evaluated]);
  });
}

test('rescaling gives each image of a batch its own deviation, in part or whole', async () => {
  const conditional = [1, 3, 10, 30];
  const predictEach: PredictEach<number> = async (_latent, _timestep, conditions) =>
    conditions.map((condition) => Float32Array.from(conditional, (value) => (condition === 5 ? value : 0)));
  // Guided, the conditional prediction is twice itself; its deviation is half of that.
  const rescaled = (rescale: number) =>
    guide(predictEach, PROMPTS, { ...NO_GUIDANCE, scale: 2, rescale }, 2)(new Float32Array(4), 10);
  assert.deepEqual(await rescaled(0), Float32Array.of(2, 6, 20, 60));
  assert.deepEqual(await rescaled(1), Float32Array.of(1, 3, 10, 30));
  assert.deepEqual(await rescaled(0.5), Float32Array.of(1.5, 4.5, 15, 45));
});
