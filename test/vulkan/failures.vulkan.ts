// What goes wrong on a Vulkan device: cancellation in the middle of a network, no memory, a lost device, memory that is not
// given back, and calls that Vulkan's own validation objects to.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import { addon, encodeText, openTiny } from '../support/addon.ts';
import { bestBelow } from '../support/event-loop.ts';
import { modulePath, root } from '../support/places.ts';

const failingDriver = join(root, 'build-vulkan', 'build', 'failing_vulkan.node');
const device = 'vulkan0';

test('a network is cancelled within 200 ms', async () => {
  const model = await openTiny({ device });
  const side = 24; // seconds
  const latent = new Float32Array(4 * side ** 2).fill(0.5);
  const decode = (cancellation = new addon.Cancellation()) => model.decode(latent, [1, 4, side, side], cancellation);
  await decode(); // compiles what it needs
  const begin = performance.now();
  await decode();
  const whole = performance.now() - begin;
  const best = await bestBelow(200, async () => {
    const cancellation = new addon.Cancellation();
    const decoded = assert.rejects(decode(cancellation), { code: 'ERR_CANCELLED' });
    await new Promise((resolve) => setTimeout(resolve, whole / 3));
    const cancelled = performance.now();
    cancellation.cancel();
    await decoded;
    return performance.now() - cancelled;
  });
  assert.ok(best < 200, `it took ${best.toFixed()} ms`);
  await model.dispose();
});

test('a model that is loaded and disposed of a hundred times leaves no memory behind', async () => {
  const cycle = async () => {
    const model = await openTiny({ device });
    await encodeText(model);
    await model.dispose();
  };
  const memory = async (cycles: number) => {
    for (let i = 0; i < cycles; i++) await cycle();
    return process.memoryUsage().rss / 2 ** 20;
  };
  const before = await memory(20);
  const grown = (await memory(100)) - before;
  assert.ok(grown < 32, `${grown.toFixed()} MiB more after 100 cycles`);
});

interface Told {
  readonly name: string;
  readonly code?: string;
  readonly message?: string;
  readonly decibels?: number;
}

describe('a device that fails', () => {
  assert.ok(existsSync(failingDriver), `${failingDriver} is missing. Build it: npm run test:vulkan`);
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [modulePath('test/vulkan/failing-device.ts'), failingDriver],
    { encoding: 'utf8', env: { ...process.env, LD_PRELOAD: failingDriver } },
  );
  const told = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Told);
  const outcomes = [
    ['before', undefined],
    ['loading without memory', 'ERR_OUT_OF_MEMORY'],
    ['generating without memory', 'ERR_OUT_OF_MEMORY'],
    ['generating again', undefined],
    ['generating on a lost device', 'ERR_DEVICE'],
    ['generating on it again', 'ERR_DEVICE'],
    ['after', undefined],
  ] as const;
  it('does not end the process', () => {
    assert.deepEqual({ status, signal }, { status: 0, signal: null }, stdout + stderr);
    assert.equal(told.length, outcomes.length);
  });
  for (const [name, code] of outcomes) {
    it(`${name}: ${code ?? 'the image of the CPU'}`, () => {
      const outcome = told.find((one) => one.name === name);
      assert.equal(outcome?.code, code, outcome?.message);
      if (!code) assert.ok((outcome?.decibels ?? 0) >= 40, `${outcome?.decibels} dB`);
    });
  }
});

test("Vulkan's validation has no objections", async () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [modulePath('test/vulkan/validated.ts')], {
    encoding: 'utf8',
    env: { ...process.env, VK_INSTANCE_LAYERS: 'VK_LAYER_KHRONOS_validation' },
  });
  assert.equal(status, 0, stderr);
  assert.ok(stdout.includes('validated'), stdout);
  const objections = `${stdout}\n${stderr}`.split('\n').filter((line) => line.includes('Validation Error'));
  // A layer that is older than the headers of the build.
  assert.deepEqual(
    objections.filter((line) => !line.includes('unknown VkStructureType')),
    [],
  );
});
