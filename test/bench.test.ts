// The benchmark: its line of JSON, and its messages for invalid arguments.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { loadAddon } from '../lib/native/load.ts';
import { modulePath } from './support/places.ts';

const program = modulePath('bench/cpu.ts');
const run = (args: readonly string[]) => promisify(execFile)(process.execPath, [program, ...args]);

test('a measurement is one line of JSON with times, operations, memory and the share of the rate', async () => {
  const { stdout, stderr } = await run(['--size', '64', '--steps', '1', '--threads', '1', '--json']);
  assert.equal(stderr, '');
  assert.equal(stdout.trimEnd().split('\n').length, 1);
  const report = JSON.parse(stdout);
  assert.deepEqual([report.width, report.height, report.steps, report.threads], [64, 64, 1, 1]);
  for (const stages of [report.first, report.steady, report.gflop]) {
    assert.deepEqual(Object.keys(stages), ['textEncoding', 'step', 'decode']);
    for (const value of Object.values(stages)) assert.ok((value as number) > 0, JSON.stringify(stages));
  }
  assert.ok(report.load > 0 && report.productGflops > 0);
  assert.ok(report.peakMemory > 30e6 && report.peakMemory < 2e9, `a peak of ${report.peakMemory} bytes`);
  const share = report.gflop.step / report.steady.step / report.productGflops;
  assert.ok(Math.abs(report.share - share) < 1e-9 && share > 0, `a share of ${report.share}`);
});

const misuses: [args: string[], message: RegExp][] = [
  [['--size', '0'], /an integer from 1 to 4096 for --size but received 0/],
  [['--size', '64', '--steps', 'many'], /an integer from 1 to 1000 for --steps but received 'many'/],
  [['--threads', '1.5'], /--threads but received '1.5'/],
  [['--precision', 'fp16'], /one of auto, f32, bf16 for --precision/],
  [['--speed'], /Unknown option '--speed'/],
  [['model.safetensors'], /Unexpected argument 'model.safetensors'/],
  [['--rounds', '2'], /--rounds needs --sd-cpp/],
  [['--sd-cpp', 'sd-cli'], /--sd-cpp needs --model/],
];

for (const [args, message] of misuses) {
  test(`${args.join(' ')} is refused with the usage`, () =>
    assert.rejects(run(args), (error: { code: number; stdout: string; stderr: string }) => {
      assert.deepEqual([error.code, error.stdout], [2, '']);
      assert.match(error.stderr, message);
      assert.match(error.stderr, /usage: npm run bench:cpu/);
      return true;
    }));
}

test('a measurement that fails is reported in one message', () =>
  assert.rejects(run(['--model', 'missing.safetensors']), (error: { code: number; stderr: string }) => {
    assert.equal(error.code, 1);
    assert.match(error.stderr, /missing\.safetensors.*no such file/);
    assert.doesNotMatch(error.stderr, /\n\s+at /);
    return true;
  }));

test('the rate of a product is that of the precision and can be cancelled', async () => {
  const addon = loadAddon();
  const never = new addon.Cancellation();
  const rate = await addon.measureGemm({ threads: 1, precision: 'f32' }, never);
  assert.equal(rate.precision, 'f32');
  assert.ok(rate.runs >= 1 && rate.seconds > 0);
  assert.equal(rate.flop, 2 * 3840 ** 3);
  const cancellation = new addon.Cancellation();
  const cancelled = addon.measureGemm({ threads: 1, precision: 'f32' }, cancellation);
  cancellation.cancel();
  await assert.rejects(cancelled, { code: 'ERR_CANCELLED' });
  await assert.rejects(addon.measureGemm({ threads: 0 }, never), { code: 'ERR_INVALID_ARG_VALUE' });
});
