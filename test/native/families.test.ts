// The text encoders and UNets of Stable Diffusion 2, SDXL and their relatives against transformers and diffusers, in float32; the
// goldens come from test/reference/families.py.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { embedGuidance, embedNumbers } from '../../lib/family/sinusoids.ts';
import { never } from '../support/addon.ts';
import { assertClose } from '../support/compare.ts';
import { goldenTensors } from '../support/golden.ts';
import { openModel, type TestModel } from '../support/networks.ts';
import {
  distilledArchitecture,
  inpaintArchitecture,
  lcmArchitecture,
  refinerArchitecture,
  sd2Architecture,
  ssdArchitecture,
  type TinyModelArchitecture,
  xlArchitecture,
} from '../support/tiny-architectures.ts';
import { tinyModel } from '../support/tiny-model.ts';
import { STORED } from '../support/tiny-projections.ts';

type Shape = readonly [number, number, number, number];

interface Family {
  /** In the names of the goldens. */
  readonly name: string;
  readonly architecture: TinyModelArchitecture;
  readonly family: string;
  /** What the model says of its text encoders: kind, width and default layer. */
  readonly encoders: readonly (readonly [kind: string, width: number, clipSkip: number])[];
  /** What it is conditioned with beside the text, as in families.py. */
  readonly numbers?: readonly number[];
  readonly guidance?: number;
}

const FAMILIES: readonly Family[] = [
  {
    name: 'sd2',
    architecture: sd2Architecture,
    family: 'sd2',
    encoders: [['openclip', 128, 2]],
  },
  {
    name: 'xl',
    architecture: xlArchitecture,
    family: 'sdxl',
    encoders: [
      ['clip', 64, 2],
      ['openclip', 128, 2],
    ],
    numbers: [1024, 768, 8, 16, 512, 640],
  },
  {
    name: 'refiner',
    architecture: refinerArchitecture,
    family: 'sdxl-refiner',
    encoders: [['openclip', 128, 2]],
    numbers: [1024, 768, 8, 16, 6],
  },
  {
    name: 'ssd',
    architecture: ssdArchitecture,
    family: 'sdxl',
    encoders: [
      ['clip', 64, 2],
      ['openclip', 128, 2],
    ],
    numbers: [512, 512, 0, 0, 512, 512],
  },
  {
    name: 'distilled',
    architecture: distilledArchitecture,
    family: 'sd1',
    encoders: [['clip', 64, 1]],
  },
  {
    name: 'lcm',
    architecture: lcmArchitecture,
    family: 'sd1',
    encoders: [['clip', 64, 1]],
    guidance: 8.5,
  },
  {
    name: 'inpaint',
    architecture: inpaintArchitecture,
    family: 'sd1-inpaint',
    encoders: [['clip', 64, 1]],
  },
];

const goldens = goldenTensors('families.safetensors');

function values(name: string): Float32Array {
  const found = goldens.get(name);
  assert.ok(found, `a golden ${name}`);
  return found.values as Float32Array;
}

const open = ({ architecture }: Family, edit = STORED.original): Promise<TestModel> => {
  const { path } = tinyModel({ architecture, edit });
  return openModel({ model: path }, { device: 'cpu', threads: 1, precision: 'f32', cancellation: never });
};

/** Hidden states of all text encoders side by side, from the goldens. */
function context({ name, encoders }: Family): Float32Array {
  const width = encoders.reduce((sum, [, own]) => sum + own, 0);
  const joined = new Float32Array(77 * width);
  let column = 0;
  for (const [i, [, own]] of encoders.entries()) {
    const hidden = values(`${name}.hidden${i}`);
    for (let row = 0; row < 77; row++) joined.set(hidden.subarray(row * own, (row + 1) * own), row * width + column);
    column += own;
  }
  return joined;
}

for (const family of FAMILIES) {
  const { name, encoders, numbers, guidance } = family;
  describe(`the networks of a small ${name} checkpoint agree with transformers and diffusers`, () => {
    it('it is recognised', async () => {
      const model = await open(family);
      const { info } = model;
      await model.dispose();
      assert.equal(info.family, family.family);
      assert.equal(info.prediction, 'epsilon');
      assert.deepEqual(
        info.textEncoders.map(({ kind, width, clipSkip }) => [kind, width, clipSkip]),
        encoders,
      );
      assert.equal(info.inChannels, name === 'inpaint' ? 9 : 4);
      assert.equal(info.guidanceSize, guidance ? 256 : 0);
      assert.equal(info.vectorSize, numbers ? 128 + 256 * numbers.length : 0);
    });

    it('text encoders', async () => {
      const model = await open(family);
      const tokens = goldens.get(`${name}.tokens`)?.values as Int32Array;
      for (const [i, [, , clipSkip]] of encoders.entries()) {
        const { hidden, pooled } = await model.encodeText(i, tokens, clipSkip, never);
        assertClose(hidden, values(`${name}.hidden${i}`));
        const pools = numbers && i === encoders.length - 1;
        if (pools) assertClose(pooled, values(`${name}.pooled`));
        else assert.equal(pooled.length, 0);
      }
      await model.dispose();
    });

    for (const [stored, edit] of Object.entries(STORED)) {
      it(`UNet, ${stored}`, async () => {
        const model = await open(family, edit);
        assert.equal(model.info.family, family.family);
        const latent = goldens.get(`${name}.latent`) as unknown as { shape: Shape; values: Float32Array };
        const prediction = await model.predict(
          latent.values,
          latent.shape,
          Float32Array.of(601.5),
          {
            context: context(family),
            contextTokens: 77,
            ...(numbers && { vector: Float32Array.of(...values(`${name}.pooled`), ...embedNumbers(numbers)) }),
            ...(guidance && { guidance: embedGuidance(guidance, 256) }),
          },
          never,
        );
        assertClose(prediction, values(`${name}.prediction`));
        await model.dispose();
      });
    }
  });
}
