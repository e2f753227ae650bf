// No failed allocation of the native side ends the process, and none leaves another image behind. A few of each call's
// allocations; npm run test:memory tests up to a thousand of each, and takes an hour or more.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { modulePath, root } from '../support/places.ts';

const allocator = join(root, 'build', 'memory', 'failing_memory.node');
const whole = process.env.MEMORY_TEST === 'whole';
// The C library whose allocator the one for the test stands in for.
const { glibcVersionRuntime } = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header;

const skip = !glibcVersionRuntime && 'needs the C library of GNU';

function sweep(kind: 'native' | 'arrays', samples: number): { name: string; refused?: number }[] {
  assert.ok(existsSync(allocator), `${allocator} is missing. Build it: node scripts/build.mjs --tests`);
  const program = modulePath('test/memory/sweep.ts');
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [program, kind, String(samples)], {
    encoding: 'utf8',
    env: { ...process.env, LD_PRELOAD: allocator },
  });
  assert.deepEqual({ status, signal }, { status: 0, signal: null }, stdout + stderr);
  const calls = stdout.trim().split('\n');
  return calls.map((line) => JSON.parse(line) as { name: string; refused?: number });
}

test('a call whose memory fails is refused or right, and right once memory is back', { skip }, () => {
  const calls = sweep('native', whole ? 1000 : 6);
  assert.equal(calls.length, 21);
  for (const { name, refused } of calls) assert.ok(refused, `${name}: nothing was refused`);
});

test('so is a call whose JavaScript arrays fail', { skip }, () => {
  const calls = sweep('arrays', whole ? 1000 : 2);
  assert.equal(calls.length, 15);
  for (const { name, refused } of calls) assert.ok(refused, `${name}: nothing was refused`);
});
