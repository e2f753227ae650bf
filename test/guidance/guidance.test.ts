// Prediction types against diffusers, and classifier-free guidance. Goldens: test/reference/prediction.py.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  classifierFreeGuidance,
  denoiserFor,
  PREDICTION_TYPES,
  type PredictEach,
  type PredictionType,
} from '../../lib/guidance/index.ts';
import { stableDiffusionTable } from '../../lib/schedule/index.ts';
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
    const denoise = denoiserFor(
      async (scaled, t) => {
        seen.push({ latent: scaled, timestep: t });
        return Float32Array.from(predicted);
      },
      prediction,
      table,
    );
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
  const denoise = denoiserFor(
    async (latent, t) => {
      timestep = t;
      return latent;
    },
    'epsilon',
    table,
  );
  await denoise(new Float32Array(4), table.sigmaAt(500.25));
  assert.ok(Math.abs(timestep - 500.25) < 1e-9);
});

test('a rejection of the network passes through the denoiser and the guidance', async () => {
  const reason = new Error('stop');
  const guided = classifierFreeGuidance(() => Promise.reject(reason), 'prompt', '', 7);
  await assert.rejects(denoiserFor(guided, 'v', table)(new Float32Array(4), 1), reason);
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

const scales: [scale: number, evaluated: number[], expected: number][] = [
  [0, [-2], -2],
  [0.5, [5, -2], 1.5],
  [1, [5], 5],
  [1.5, [5, -2], 8.5],
  [7.5, [5, -2], 50.5],
  [1e6, [5, -2], 6_999_998],
];
for (const [scale, evaluated, expected] of scales) {
  test(`a guidance scale of ${scale} evaluates ${evaluated.length} of the conditions at once`, async () => {
    const { evaluations, predictEach } = constantNetwork();
    const guided = classifierFreeGuidance(predictEach, 5, -2, scale);
    assert.deepEqual(await guided(new Float32Array(3), 10), new Float32Array(3).fill(expected));
    assert.deepEqual(evaluations, [evaluated]);
  });
}
