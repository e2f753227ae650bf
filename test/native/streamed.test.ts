// Weights that are streamed to a device with memory of its own give the numbers of weights that stay there.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addon, never, openTiny } from '../support/addon.ts';

const gpu = addon.devices().find(({ type }) => type === 'gpu');

test('streamed weights give the same numbers on a GPU, and leave its memory', { skip: !gpu && 'no GPU' }, async () => {
  const model = await openTiny({ device: gpu?.name as string, residency: 'unload' });
  const { native } = model;
  const inputs = {
    latent: { data: Float32Array.from({ length: 4 * 64 }, (_, i) => Math.sin(i)), shape: [1, 4, 8, 8] },
  };
  const evaluate = () => native.evaluate('vae_decoder', inputs, {}, never);
  const placed = await evaluate();
  const { allocatedBytes } = (await native.memory()).vae_decoder as { allocatedBytes: number };
  await native.setResidency('unload', true);
  for (let round = 0; round < 2; round++) assert.deepEqual(await evaluate(), placed);
  const streamed = (await native.memory()).vae_decoder as { allocatedBytes: number };
  assert.ok(streamed.allocatedBytes < allocatedBytes / 2, `${streamed.allocatedBytes} of ${allocatedBytes}`);
  await native.dispose();
});
