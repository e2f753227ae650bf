// The VAE in tiles: the same images as in one piece, in less memory.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { loadModel, type Model, type TileProgress, type Txt2ImgOptions } from '../../lib/index.ts';
import { psnr } from '../support/compare.ts';

const TILED = { vaeTiling: true, vaeTileSize: 8 } as const;
const IMAGE = { prompt: 'a red apple', width: 256, height: 256, steps: 4, seed: 1 } as const;

describe('the VAE in tiles', () => {
  let model: Model;
  before(async () => {
    model = await loadModel();
  });
  after(() => model.dispose());

  const pixels = async (options: Partial<Txt2ImgOptions>) => {
    const { images } = await model.txt2img({ ...IMAGE, ...options });
    return images[0]?.data as Uint8Array;
  };

  for (const tileable of [false, true, 'x'] as const) {
    it(`gives the image of one piece, tileable: ${tileable}`, async () => {
      const whole = await pixels({ tileable, vaeTiling: false });
      const ratio = psnr(await pixels({ ...TILED, tileable }), whole, 255);
      assert.ok(ratio >= 40, `${ratio} dB`);
    });
  }

  it('encodes as one piece does', async () => {
    const { images } = await model.txt2img(IMAGE);
    const start = { prompt: IMAGE.prompt, image: images[0] as never, strength: 0, seed: 1 };
    const [whole, tiled] = await Promise.all([
      model.img2img({ ...start, vaeTiling: false }),
      model.img2img({ ...start, ...TILED }),
    ]);
    const ratio = psnr(tiled.images[0]?.data as Uint8Array, whole.images[0]?.data as Uint8Array, 255);
    assert.ok(ratio >= 40, `${ratio} dB`);
  });

  it('is for images that take much memory by default, and for those that are larger than a tile', async () => {
    const whole = await pixels({ vaeTiling: false });
    assert.deepEqual(await pixels({}), whole);
    assert.deepEqual(await pixels({ vaeTiling: true, vaeTileSize: 32 }), whole);
  });

  it('reports tiles', async () => {
    const told: TileProgress[] = [];
    await model.txt2img({ ...IMAGE, ...TILED, onTile: (progress) => told.push(progress) });
    assert.ok(told.length > 1);
    for (const [i, { stage, done, total }] of told.entries()) {
      assert.equal(stage, 'decoding');
      assert.equal(total, told[0]?.total);
      assert.ok(done > (told[i - 1]?.done ?? 0) && done <= total);
    }
    assert.equal(told.at(-1)?.done, told.at(-1)?.total);
  });

  it('ends between tiles', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const run = model.txt2img({
      ...IMAGE,
      ...TILED,
      signal: controller.signal,
      onTile: ({ done, total }) => {
        assert.ok(done < total, 'no tile comes after the abort');
        controller.abort(reason);
      },
    });
    await assert.rejects(run, reason);
  });

  it('ends with what the listener throws', async () => {
    const thrown = new Error('no more');
    const onTile = () => {
      throw thrown;
    };
    await assert.rejects(model.txt2img({ ...IMAGE, ...TILED, onTile }), thrown);
    assert.equal((await pixels(TILED)).length, 3 * 256 * 256);
  });

  it('takes less memory', async () => {
    const computeOf = async (vaeTiling: boolean) => {
      const { stages } = await model.estimate({ width: 1024, height: 1024, vaeTiling });
      return stages.find(({ stage }) => stage === 'decoding')?.compute as number;
    };
    assert.ok((await computeOf(true)) < 0.4 * (await computeOf(false)));
  });

  const wrong = [
    [{ vaeTiling: 'yes' }, /vaeTiling/],
    [{ vaeTiling: 1 }, /true or false for vaeTiling/],
    [{ vaeTileSize: 7 }, /8 to 512 for vaeTileSize/],
    [{ vaeTileSize: 16.5 }, /vaeTileSize/],
    [{ vaeTileSize: 1024 }, /vaeTileSize/],
    [{ onTile: 'log' }, /a function for onTile/],
  ] as const;
  for (const [options, message] of wrong) {
    it(`refuses ${JSON.stringify(options)}`, async () => {
      await assert.rejects(model.txt2img({ ...IMAGE, ...(options as object) }), { message });
    });
  }
});

it('a budget that one piece exceeds is kept by tiles', async () => {
  const size = { width: 1024, height: 1024 };
  const peakOf = async (options: object, memory?: number) => {
    await using model = await loadModel(undefined, memory ? { memory } : { residency: 'unload' });
    return await model.estimate({ ...size, ...options });
  };
  const whole = (await peakOf({ vaeTiling: false })).peaks.process.bytes;
  const tiled = (await peakOf({ vaeTiling: true })).peaks.process.bytes;
  assert.ok(tiled < whole);
  const { plan } = await peakOf({}, (whole + tiled) / 2);
  assert.ok(plan.tileMemory !== undefined);
  assert.equal(plan.stream, false);
});
