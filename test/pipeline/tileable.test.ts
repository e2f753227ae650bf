// Images that can be laid beside themselves: against diffusers with circular padding (goldens of test/reference/tileable.py),
// and by moving the noise, which moves the image round the joined sides.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { loadModel, type Model, SAMPLERS, type Sampler, type Txt2ImgOptions } from '../../lib/index.ts';
import type { NativeTileable } from '../../lib/native/contract.ts';
import { diffuse } from '../cli/command.ts';
import { never } from '../support/addon.ts';
import { soundModel } from '../support/bad-models.ts';
import { assertClose, psnr } from '../support/compare.ts';
import { goldenTensors } from '../support/golden.ts';
import { openModel, type TestModel } from '../support/networks.ts';
import { tinyModel } from '../support/tiny-model.ts';

type Shape = [number, number, number, number];

describe('tileable networks give what those of diffusers give with circular padding', () => {
  const goldens = goldenTensors('tileable.safetensors');
  const values = (name: string) => goldens.get(name)?.values as Float32Array;
  const shape = goldens.get('latent')?.shape as Shape;
  let native: TestModel;
  before(async () => {
    const options = { device: 'cpu', threads: 1, precision: 'f32', cancellation: never } as const;
    native = await openModel({ model: tinyModel().path }, options);
  });
  after(() => native.dispose());

  for (const tileable of ['xy', 'x', 'y'] as const) {
    it(tileable, async () => {
      const condition = { context: values('context'), contextTokens: 77, tileable };
      const prediction = await native.predict(values('latent'), shape, values('timesteps'), condition, never);
      assertClose(prediction, values(`${tileable} prediction`), 1e-4);
      assertClose(await native.decode(values('latent'), shape, never, tileable), values(`${tileable} image`), 1e-4);
    });
  }

  it('another word for the sides is refused', async () => {
    const decoding = native.decode(values('latent'), shape, never, 'yx' as NativeTileable);
    await assert.rejects(decoding, { code: 'ERR_INVALID_ARG_VALUE', message: /x, y or xy/ });
  });
});

const [WIDTH, HEIGHT, CELLS] = [48, 32, 4];

/** Moves planes, or interleaved pixels, round their sides. */
function roll<T extends Float32Array | Uint8Array>(
  from: T,
  width: number,
  height: number,
  step: number,
  x: number,
  y: number,
): T {
  const to = from.slice() as T;
  const planes = from.length / (width * height * step);
  for (let plane = 0; plane < planes; plane++) {
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const source = (plane * height + row) * width + column;
        const target = (plane * height + ((row + y) % height)) * width + ((column + x) % width);
        for (let k = 0; k < step; k++) to[target * step + k] = from[source * step + k] as number;
      }
    }
  }
  return to;
}

describe('moving the noise moves the image', () => {
  let model: Model;
  before(async () => {
    model = await loadModel(soundModel(), { threads: 1, precision: 'f32' });
  });
  after(() => model.dispose());

  const euler = SAMPLERS.euler.sampler;
  const generate = async (tileable: Txt2ImgOptions['tileable'], x: number, y: number) => {
    const moved: Sampler = (denoise, latent, sigmas, context) =>
      euler(denoise, roll(latent, WIDTH / 8, HEIGHT / 8, 1, x, y), sigmas, context);
    const { images } = await model.txt2img({
      ...{ prompt: 'x', width: WIDTH, height: HEIGHT, steps: 3, seed: 5, cfgScale: 2, sampler: moved },
      ...(tileable === undefined ? {} : { tileable }),
    });
    return images[0]?.data as Uint8Array;
  };

  for (const [tileable, along] of [
    [true, 'xy'],
    ['x', 'x'],
    ['y', 'y'],
    [false, ''],
  ] as const) {
    it(`along ${along || 'neither side'} with tileable: ${tileable}`, async () => {
      const still = await generate(tileable, 0, 0);
      for (const side of ['x', 'y'] as const) {
        const [x, y] = side === 'x' ? [CELLS, 0] : [0, CELLS - 2];
        const likeness = psnr(await generate(tileable, x, y), roll(still, WIDTH, HEIGHT, 3, 8 * x, 8 * y), 255);
        assert.equal(likeness > 55, along.includes(side), `along ${side}: ${likeness} dB`);
      }
    });
  }

  it('other values are refused, by the command line too', async () => {
    await assert.rejects(async () => model.txt2img({ prompt: 'x', tileable: 'z' as 'x' }), { message: /one of x, y/ });
    await assert.rejects(async () => model.txt2img({ prompt: 'x', tileable: 1 as unknown as boolean }), {
      code: 'ERR_INVALID_ARG_TYPE',
    });
    const { code, stderr } = await diffuse(['-p', 'x', '--circular=yes']);
    assert.deepEqual([code, /circular/.test(stderr)], [2, true], stderr);
  });
});
