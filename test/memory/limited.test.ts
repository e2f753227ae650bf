// With limited address space (ulimit -v) a process gets an error or the right image, and without the limit the right image. Tests
// some limits; npm run test:memory tests all.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { modulePath } from '../support/places.ts';

const whole = process.env.MEMORY_TEST === 'whole';
/** MB beyond those of a process that has started. */
const FEW = [20, 60, 120, 300, 1000];
const ALL = [...Array.from({ length: 60 }, (_, i) => 10 * (i + 1)), 700, 800, 1000, 1500, 2000, 3000];
/** How V8 ends a process that has no memory for JavaScript. Nothing of ours says this, and nothing of ours can prevent it. */
const ENDED_BY_V8 =
  /FATAL ERROR: .*out of memory|Fatal (process|JavaScript) out of memory|Failed to reserve virtual memory/i;

interface Outcome {
  limited?: string;
  code?: string;
  message?: string;
  free: string;
}

/** The outcome of a limited process; undefined if V8 ended it. */
function generateWithin(megabytes: number): Outcome | undefined {
  const program = modulePath('test/memory/limited.ts');
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [program, String(megabytes)], {
    encoding: 'utf8',
  });
  if (status !== 0 && ENDED_BY_V8.test(stderr)) return undefined;
  assert.deepEqual({ status, signal }, { status: 0, signal: null }, `${megabytes} MB: ${stderr}`);
  return JSON.parse(stdout) as Outcome;
}

test('with limited address space, generation fails or is right, and without the limit it is right', {
  skip: process.platform !== 'linux',
}, (t) => {
  let right: string | undefined;
  const outcomes = { right: 0, refused: 0, 'ended by V8': 0 };
  for (const megabytes of whole ? ALL : FEW) {
    const outcome = generateWithin(megabytes);
    if (!outcome) {
      outcomes['ended by V8']++;
      continue;
    }
    right ??= outcome.free;
    assert.equal(outcome.free, right, `${megabytes} MB: another image without the limit`);
    if (outcome.code === undefined) {
      assert.equal(outcome.limited, right, `${megabytes} MB: another image`);
      outcomes.right++;
    } else {
      assert.equal(outcome.code, 'ERR_OUT_OF_MEMORY', `${megabytes} MB: ${outcome.message}`);
      assert.match(outcome.message ?? '', /expected .*(memory|threads).*, but .*\. \w.*\.$/is);
      outcomes.refused++;
    }
  }
  t.diagnostic(JSON.stringify(outcomes));
  assert.ok(outcomes.right > 0 && outcomes.refused > 0, JSON.stringify(outcomes));
});
