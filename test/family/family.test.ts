// Families of models: what their records must have, and latents with a shift.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { familyOf } from '../../lib/family/index.ts';
import { fromDiffusion, latentScaleOf, sampleLatent, toDiffusion } from '../../lib/pipeline/latents.ts';

describe('the family of a model', () => {
  for (const [family, name] of [
    ['sd1', 'sd1'],
    ['sd1-inpaint', 'sd1'],
    ['sd2-depth', 'sd2'],
    ['sdxl-edit', 'sdxl'],
    ['sdxl-refiner', 'sdxl-refiner'],
    ['sdxl-refiner-inpaint', 'sdxl-refiner'],
  ] as const) {
    test(`${family} is a model of ${name}`, () => assert.equal(familyOf({ family }).name, name));
  }

  for (const family of ['unheard-of', '', 'sd', 'sd12', 'inpaint']) {
    test(`'${family}' is unknown, and the error names those that are known`, () => {
      assert.throws(() => familyOf({ family }), {
        code: 'ERR_MODEL_UNSUPPORTED',
        message: /the families sd1, sd2, .*but received/,
      });
    });
  }

  test('says how its latents are scaled, and a tiny autoencoder in place of the VAE that they are not', () => {
    const scaleOf = (family: string, tiny: boolean) => {
      const components = [{ kind: 'vae' as const, config: { tiny }, parameters: 0, bytes: 0, types: {} }];
      return latentScaleOf({ family, components }).scale;
    };
    assert.deepEqual(
      ['sd1', 'sd2-depth', 'sdxl', 'sdxl-refiner'].map((family) => scaleOf(family, false)),
      [0.18215, 0.18215, 0.13025, 0.13025],
    );
    assert.equal(scaleOf('sdxl', true), 1);
  });

  test('has a projection of its four channels', () => {
    for (const family of ['sd1', 'sd2', 'sdxl', 'sdxl-refiner']) {
      const record = familyOf({ family });
      assert.deepEqual(
        record.latent.projection.map((row) => row.length),
        [3, 3, 3, 3, 3],
      );
    }
  });
});

test('latents of a VAE with a shift are z = scale (mean - shift), there and back', () => {
  const scale = { scale: 0.3611, shift: 0.1159 };
  const mean = Float32Array.of(-2, 0, 0.1159, 5);
  const diffused = toDiffusion(mean, scale);
  for (const [i, value] of mean.entries()) {
    assert.ok(Math.abs((diffused[i] as number) - 0.3611 * (value - 0.1159)) < 1e-6);
    assert.ok(Math.abs((fromDiffusion(diffused, scale)[i] as number) - value) < 1e-6);
  }
  // Without a variance to speak of, a sample is the mean.
  const moments = Float32Array.of(...mean, -30, -30, -30, -30);
  const sampled = sampleLatent({ moments, scale }, new Float32Array(8).fill(1));
  for (const [i, value] of sampled.entries()) assert.ok(Math.abs(value - (diffused[i % 4] as number)) < 1e-5);
});
