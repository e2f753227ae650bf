// A process whose addresses are limited (ulimit -v) is told so by an error, and draws the right image once they are not. Some
// limits; all of them: npm run test:memory

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

interface Told {
  limited?: string;
  code?: string;
  message?: string;
  free: string;
}

/** What a limited process tells; undefined where V8 has ended it. */
function drawWithin(megabytes: number): Told | undefined {
  const program = modulePath('test/memory/limited.ts');
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [program, String(megabytes)], {
    encoding: 'utf8',
  });
  if (status !== 0 && ENDED_BY_V8.test(stderr)) return undefined;
  assert.deepEqual({ status, signal }, { status: 0, signal: null }, `${megabytes} MB: ${stderr}`);
  return JSON.parse(stdout) as Told;
}

test('where addresses are short, drawing is refused or right, and right without the limit', {
  skip: process.platform !== 'linux',
}, (t) => {
  let right: string | undefined;
  const outcomes = { right: 0, refused: 0, 'ended by V8': 0 };
  for (const megabytes of whole ? ALL : FEW) {
    const told = drawWithin(megabytes);
    if (!told) {
      outcomes['ended by V8']++;
      continue;
    }
    right ??= told.free;
    assert.equal(told.free, right, `${megabytes} MB: another image without the limit`);
    if (told.code === undefined) {
      assert.equal(told.limited, right, `${megabytes} MB: another image`);
      outcomes.right++;
    } else {
      assert.equal(told.code, 'ERR_OUT_OF_MEMORY', `${megabytes} MB: ${told.message}`);
      assert.match(told.message ?? '', /expected .*(memory|threads).*, but .*\. \w.*\.$/is);
      outcomes.refused++;
    }
  }
  t.diagnostic(JSON.stringify(outcomes));
  assert.ok(outcomes.right > 0 && outcomes.refused > 0, JSON.stringify(outcomes));
});
