// Enlarging images: tiles without seams, cancellation, bad input, the command line.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import { readImage } from '../lib/image/input.ts';
import { tilesAlong, tileWeights } from '../lib/image/tiles.ts';
import { loadUpscaler, type UpscaleOptions } from '../lib/index.ts';
import { diffuse } from './cli/command.ts';
import { psnr } from './support/compare.ts';
import { temporaryFolder, tinyModel } from './support/tiny-model.ts';
import { tinyCompactNet, tinyRrdbNet, writeUpscaler } from './support/tiny-upscalers.ts';

const x2 = writeUpscaler(tinyRrdbNet({ unshuffle: 2, blocks: 1 }));
const x3 = writeUpscaler(tinyCompactNet());
const poisoned = writeUpscaler(
  tinyCompactNet().map((tensor) => ({
    ...tensor,
    values: tensor.values.map((value, i) => (i === 3 ? Number.NaN : value)),
  })),
);

/** An image of soft colours. */
function waves(width: number, height: number) {
  const data = new Uint8Array(3 * width * height);
  for (let i = 0; i < data.length; i++) data[i] = 128 + 100 * Math.sin(i / 17 + Math.floor(i / (3 * width)) / 5);
  return { width, height, data };
}

test('the weights of overlapping tiles sum to 1 at every pixel', () => {
  for (const [side, length, overlap] of [
    [10, 32, 4],
    [32, 32, 4],
    [33, 32, 4],
    [100, 32, 16],
    [1000, 128, 0],
    [129, 128, 64],
  ] as const) {
    const row = tilesAlong(side, length, overlap);
    const sums = new Float64Array(side);
    for (const [i, tile] of tileWeights(row).entries()) {
      for (const [x, weight] of tile.entries()) {
        const at = (row.starts[i] as number) + x;
        sums[at] = (sums[at] as number) + weight;
      }
    }
    for (const sum of sums) assert.ok(Math.abs(sum - 1) < 1e-6, `${side} in tiles of ${length}: ${sum}`);
  }
});

test('an image in tiles is the image at once, whatever its size', async () => {
  for (const [path, scale] of [
    [x2, 2],
    [x3, 3],
  ] as const) {
    await using upscaler = await loadUpscaler(path, { threads: 1, precision: 'f32' });
    for (const [width, height] of [
      [97, 65],
      [40, 33],
      [7, 90],
    ] as const) {
      const image = waves(width, height);
      const whole = await upscaler.upscale(image, { tileSize: 128 });
      const progress: string[] = [];
      const onProgress = ({ done, total }: { done: number; total: number }) => progress.push(`${done}/${total}`);
      const tiled = await upscaler.upscale(image, { tileSize: 64, tileOverlap: 32, onProgress });
      assert.deepEqual([tiled.width, tiled.height], [scale * width, scale * height]);
      assert.ok(psnr(tiled.data, whole.data, 255) > 45, `${width} x ${height} at ${scale}: the tiles differ`);
      assert.equal(progress.at(-1), `${progress.length}/${progress.length}`);
    }
  }
});

test('a call is cancelled at once, by a signal, a callback or dispose', async () => {
  const upscaler = await loadUpscaler(x2, { threads: 1 });
  const large = waves(2048, 1024);
  const controller = new AbortController();
  const reason = new Error('enough');
  setTimeout(() => controller.abort(reason), 50);
  await assert.rejects(upscaler.upscale(large, { signal: controller.signal }), reason);
  await assert.rejects(upscaler.upscale(large, { signal: AbortSignal.abort(reason) }), reason);
  const onProgress = () => {
    throw reason;
  };
  await assert.rejects(upscaler.upscale(large, { onProgress }), reason);
  const running = assert.rejects(upscaler.upscale(large), { code: 'ERR_DISPOSED' });
  await upscaler.dispose();
  await running;
  await assert.rejects(upscaler.upscale(waves(8, 8)), { code: 'ERR_DISPOSED' });
  await upscaler.dispose();
});

test('NaN in the weights is an error', async () => {
  await using upscaler = await loadUpscaler(poisoned, { threads: 1 });
  await assert.rejects(upscaler.upscale(waves(8, 8)), { code: 'ERR_NON_FINITE', message: /the upscaler/ });
});

describe('wrong arguments are refused:', () => {
  type Row = readonly [what: string, image: unknown, options: unknown, code: string, message: RegExp];
  const rows: readonly Row[] = [
    ['no image', undefined, {}, 'ERR_INVALID_ARG_TYPE', /image/],
    ['a missing file', '/nowhere/apple.png', {}, 'ERR_FILE', /nowhere/],
    ['a file that is no image', x2, {}, 'ERR_IMAGE', /PNG, JPEG or WebP/],
    ['a result that is too large', waves(8192, 2049), {}, 'ERR_INVALID_ARG_VALUE', /at most 16777216 pixels/],
    ['a tile of 31', waves(8, 8), { tileSize: 31 }, 'ERR_INVALID_ARG_VALUE', /from 32 to 2048/],
    ['a tile of a billion', waves(8, 8), { tileSize: 1e9 }, 'ERR_INVALID_ARG_VALUE', /from 32 to 2048/],
    ['a tile of NaN', waves(8, 8), { tileSize: Number.NaN }, 'ERR_INVALID_ARG_VALUE', /NaN/],
    [
      'tiles that overlap wholly',
      waves(8, 8),
      { tileSize: 64, tileOverlap: 33 },
      'ERR_INVALID_ARG_VALUE',
      /from 0 to 32/,
    ],
    ['an unknown option', waves(8, 8), { tilesize: 64 }, 'ERR_UNKNOWN_OPTION', /tileSize/],
    ['options that are none', waves(8, 8), 'fast', 'ERR_INVALID_ARG_TYPE', /an object/],
  ];
  for (const [what, image, options, code, message] of rows) {
    it(what, async () => {
      await using upscaler = await loadUpscaler(x2, { threads: 1 });
      await assert.rejects(upscaler.upscale(image as string, options as UpscaleOptions), { code, message });
    });
  }

  it('a path that is none, an option of models', async () => {
    await assert.rejects(loadUpscaler(undefined as unknown as string), { code: 'ERR_INVALID_ARG_TYPE' });
    await assert.rejects(loadUpscaler(''), { code: 'ERR_INVALID_ARG_VALUE' });
    await assert.rejects(loadUpscaler(x2, { prediction: 'v' } as object), { code: 'ERR_UNKNOWN_OPTION' });
    await assert.rejects(loadUpscaler(tinyModel().path), { code: 'ERR_MODEL_UNSUPPORTED' });
  });
});

describe('diffuse upscale', () => {
  const input = join(temporaryFolder(), 'small.png');
  const output = join(temporaryFolder(), 'large.png');

  it('enlarges an image as often as asked', async () => {
    await using upscaler = await loadUpscaler(x2, { threads: 1 });
    await (await upscaler.upscale(waves(20, 12))).save(input);
    const flags = ['--upscale-repeats', '2', '--upscale-tile-size', '64', '-t', '1', '--json'];
    const { code, stdout } = await diffuse(['upscale', '-i', input, '--upscale-model', x2, '-o', output, ...flags]);
    assert.equal(code, 0);
    const { width, height } = await readImage(output, 'output');
    assert.deepEqual([width, height], [160, 96]);
    const report = JSON.parse(stdout.toString());
    assert.deepEqual([report.width, report.files], [160, [output]]);
  });

  for (const [what, flags, message] of [
    ['no upscaler', ['-i', input], /--upscale-model/],
    ['no image', ['--upscale-model', x2], /--init-img/],
    [
      'a tile that is no number',
      ['-i', input, '--upscale-model', x2, '--upscale-tile-size', 'big'],
      /--upscale-tile-size/,
    ],
    ['no repeat', ['-i', input, '--upscale-model', x2, '--upscale-repeats', '0'], /--upscale-repeats/],
    ['a flag of image generation', ['-i', input, '--upscale-model', x2, '--steps', '3'], /--steps/],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const bad = join(temporaryFolder(), 'bad.png');
      const { code, stderr } = await diffuse(['upscale', ...flags, '-o', bad]);
      assert.equal(code, 2);
      assert.match(stderr, message);
      assert.equal(existsSync(bad), false);
    });
  }

  it('writes to standard output', async () => {
    const { code, stdout } = await diffuse(['upscale', '-i', input, '--upscale-model', x2, '-o', '-']);
    assert.deepEqual([code, stdout.subarray(1, 4).toString()], [0, 'PNG']);
  });
});
