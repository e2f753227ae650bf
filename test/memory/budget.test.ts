// Runs within a budget of memory, and estimates of what they take, through the public API.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import {
  EMBEDDED_MODEL,
  estimate,
  type LoadOptions,
  loadModel,
  type MemoryEstimate,
  type Model,
} from '../../lib/index.ts';
import { diffuse } from '../cli/command.ts';
import { never, openTiny, tiny } from '../support/addon.ts';
import { psnr } from '../support/compare.ts';
import { temporaryFolder } from '../support/tiny-model.ts';

const CALL = { prompt: 'a red apple', negativePrompt: 'blurry', seed: 3, steps: 2, width: 128, height: 128 };
const load: LoadOptions = { device: 'cpu', threads: 2, precision: 'f32' };

async function generate(options: LoadOptions, call: Partial<Parameters<Model['txt2img']>[0]> = {}) {
  await using model = await loadModel(EMBEDDED_MODEL, { ...load, ...options });
  return await model.txt2img({ ...CALL, ...call });
}

describe('a run within a budget', () => {
  let unlimited: Awaited<ReturnType<typeof generate>>;
  before(async () => {
    unlimited = await generate({}, { batchSize: 2 });
  });

  test('gives the same images by each plan, and says which it was', async () => {
    const { peaks } = await estimate(EMBEDDED_MODEL, { width: 128, height: 128, batchSize: 2 }, load);
    const ample = await generate({ memory: 'auto' }, { batchSize: 2 });
    assert.deepEqual(ample.memory?.plan, { residency: 'keep', stream: false });
    const plans = new Set([JSON.stringify(ample.memory?.plan)]);
    // The process of this test grows meanwhile, which the budget must allow for.
    for (let share = 1; share > 0.2; share -= 0.1) {
      const budget = process.memoryUsage.rss() + share * (peaks.process.bytes - process.memoryUsage.rss());
      const messages: string[] = [];
      const logger = { info: (message: string) => messages.push(message) };
      const result = await generate({ memory: Math.round(budget), logger }, { batchSize: 2 }).catch((error) => error);
      if (result.code === 'ERR_OUT_OF_MEMORY') continue;
      for (const [i, image] of result.images.entries()) {
        const expected = unlimited.images[i]?.data as Uint8Array;
        if (result.memory.plan.together === undefined) assert.deepEqual(image.data, expected);
        // Of one latent, some convolutions are computed by another algorithm.
        else assert.ok(psnr(image.data, expected, 255) > 60, `${psnr(image.data, expected, 255)} dB`);
      }
      plans.add(JSON.stringify(result.memory.plan));
      assert.match(messages.join('\n'), /^Memory: .*at most \d+ MB is expected/m);
    }
    assert.ok(plans.size > 1, [...plans].join());
  });

  test('is refused before anything runs if no plan fits, and the model goes on', async () => {
    await using model = await loadModel(EMBEDDED_MODEL, { ...load, memory: process.memoryUsage.rss() + 150e6 });
    let steps = 0;
    const large = { ...CALL, width: 2048, height: 2048, onStep: () => void steps++ };
    await assert.rejects(async () => await model.txt2img(large), {
      code: 'ERR_OUT_OF_MEMORY',
      message:
        /^Expected a budget of at least [\d.]+ [MG]B on cpu for 2048x2048 \(most for \w+\) but received \d+ MB\. (\d+x\d+ would fit|No size)/,
    });
    assert.equal(steps, 0);
    const small = await model.txt2img({ ...CALL, width: 64, height: 64 });
    assert.equal(small.images.length, 1);
  });

  test('has no plan without a budget', () => {
    assert.equal(unlimited.memory, undefined);
  });
});

test('weights that are streamed give the same numbers, and no panel stays', async () => {
  const model = await openTiny({ residency: 'unload' });
  const side = 16;
  const latent = Float32Array.from({ length: 4 * side * side }, (_, i) => Math.sin(i));
  const inputs = { latent: { data: latent, shape: [1, 4, side, side] } };
  const kept = await model.native.evaluate('vae_decoder', inputs, {}, never);
  await model.native.setResidency('unload', true);
  const streamed = await model.native.evaluate('vae_decoder', inputs, {}, never);
  assert.deepEqual(streamed, kept);
  assert.equal((await model.native.memory()).vae_decoder?.packedBytes, 0);
  await model.native.setResidency('keep', false);
  const again = await model.native.evaluate('vae_decoder', inputs, {}, never);
  assert.deepEqual(again, kept);
  await model.native.dispose();
});

describe('budgets that make no sense', () => {
  const cases: [name: string, memory: unknown, code: string][] = [
    ['none', 0, 'ERR_INVALID_ARG_VALUE'],
    ['negative', -5e9, 'ERR_INVALID_ARG_VALUE'],
    ['not a number', Number.NaN, 'ERR_INVALID_ARG_VALUE'],
    ['infinite', Number.POSITIVE_INFINITY, 'ERR_INVALID_ARG_VALUE'],
    ['words', 'plenty', 'ERR_INVALID_ARG_VALUE'],
    ['less than the process takes at least', '100KB', 'ERR_INVALID_ARG_VALUE'],
    ['a list', ['1GB'], 'ERR_INVALID_ARG_TYPE'],
    ['null', null, 'ERR_INVALID_ARG_TYPE'],
    ['true', true, 'ERR_INVALID_ARG_TYPE'],
    ['another device', { cuda9: '4GB' }, 'ERR_INVALID_ARG_VALUE'],
    ['nothing', '0GB', 'ERR_INVALID_ARG_VALUE'],
    ['a unit that does not exist', '1.5XB', 'ERR_INVALID_ARG_VALUE'],
    ['a power', '1e999GB', 'ERR_INVALID_ARG_VALUE'],
    ['more than any machine has', '99999999TB', 'ERR_INVALID_ARG_VALUE'],
    ['no device', {}, 'ERR_INVALID_ARG_VALUE'],
    ['null for a device', { cpu: null }, 'ERR_INVALID_ARG_TYPE'],
    ['undefined for a device', { cpu: undefined }, 'ERR_INVALID_ARG_TYPE'],
    ['words for a device', { cpu: 'much' }, 'ERR_INVALID_ARG_VALUE'],
  ];
  for (const [name, memory, code] of cases) {
    test(name, async () => {
      await assert.rejects(loadModel(tiny.path, { ...load, memory } as LoadOptions), { code, message: /memory/ });
    });
  }

  test('on the command line', async () => {
    const budgets = ['abc', '-1', 'NaN', '0GB', '1.5XB', '{}', '1e999GB', '99999999TB', ''];
    const output = join(temporaryFolder(), 'refused.png');
    for (const budget of budgets) {
      const { code, stderr } = await diffuse(['-p', 'x', `--memory=${budget}`, '-o', output]);
      assert.equal(code, 2, budget);
      assert.match(stderr, /^diffuse: Expected .* for --memory but received '.*'\n$/);
    }
    assert.ok(!existsSync(output));
  });

  test('with a residency', async () => {
    const options: LoadOptions = { ...load, memory: '1GB', residency: 'keep' };
    await assert.rejects(loadModel(tiny.path, options), { code: 'ERR_INVALID_ARG_VALUE', message: /residency/ });
  });
});

describe('an estimate', () => {
  const largest = ({ stages }: Pick<MemoryEstimate, 'stages'>) => Math.max(...stages.map(({ total }) => total));

  test('has the stages of a run and its peak, for options that a run takes', async () => {
    const { stages, peaks, size, plan, device } = await estimate(EMBEDDED_MODEL, { width: 64, height: 64 }, load);
    assert.deepEqual([device, size, plan], ['cpu', { width: 64, height: 64 }, { residency: 'keep', stream: false }]);
    assert.deepEqual(
      stages.map(({ stage }) => stage),
      ['text encoding', 'sampling', 'decoding'],
    );
    assert.ok(stages.every(({ weights, compute, total }) => weights > 0 && compute > 0 && total >= weights + compute));
    assert.ok(peaks.process.bytes > largest({ stages }));
    const larger = await estimate(EMBEDDED_MODEL, { width: 64, height: 64, hires: true }, load);
    assert.ok(largest(larger) > largest({ stages }) && larger.stages.length > stages.length);
    await assert.rejects(estimate(EMBEDDED_MODEL, { width: 65 }, load), { code: 'ERR_INVALID_ARG_VALUE' });
  });

  test('is printed by inspect, and refused where nothing fits', async () => {
    const args = ['inspect', '--estimate', '-m', EMBEDDED_MODEL, '-W', '64', '-H', '64'];
    const { stdout, code } = await diffuse(args);
    assert.equal(code, 0);
    assert.match(stdout.toString(), /^sampling +unet +.*\n(.*\n)*64x64 on cpu: all networks stay in memory\npeak /m);
    const json = JSON.parse((await diffuse([...args, '--json', '--memory', '4GB'])).stdout.toString());
    assert.ok(json.peaks.process.bytes < 4e9);
    const large = [...args.slice(0, 4), '-W', '1024', '-H', '1024'];
    const tiled = await diffuse([...large, '--vae-tiling', '--vae-tile-size', '16x16']);
    assert.match(tiled.stdout.toString(), /1024x1024 on cpu: all networks stay in memory, the VAE works in tiles\n/);
    const undecided = await diffuse([...args, '--vae-tiling', '--no-vae-tiling']);
    assert.match(undecided.stderr.toString(), /either --vae-tiling or --no-vae-tiling/);
    const refused = await diffuse([...args, '--memory', '2MB']);
    assert.match(refused.stderr.toString(), /Expected a budget of at least .* but received 2 MB/);
    const both = await diffuse([...args, '--memory', '1GB', '--max-vram', '1']);
    assert.match(both.stderr.toString(), /either --memory or --max-vram/);
    const wrong = await diffuse([...args, '--max-vram', '0']);
    assert.match(wrong.stderr.toString(), /a number of GiB above 0 for --max-vram/);
  });
});
