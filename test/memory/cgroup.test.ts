// In a control group with little memory (a container, a service) a run that does not fit is an error, and no process is killed.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, describe, test } from 'node:test';
import type { LoadOptions, MemoryPlan } from '../../lib/index.ts';
import { createControlGroup } from '../support/control-group.ts';
import { modulePath } from '../support/places.ts';

interface Outcome {
  readonly steps: number;
  readonly images: number;
  readonly plan?: MemoryPlan;
  readonly code?: string;
  readonly message?: string;
}

const MEGABYTES = 350;
const group = createControlGroup(MEGABYTES * 1e6);
const skip = typeof group === 'string' && group;
const [huge, large, small] = [2048, 768, 64];

/** Square images of these sides, one after the other. */
function generate(load: LoadOptions, sides: readonly number[]): Outcome[] {
  assert.ok(typeof group !== 'string');
  const calls = sides.map((side) => ({ width: side, height: side }));
  const program = [process.execPath, modulePath('test/memory/cgroup.ts'), JSON.stringify({ load, calls })];
  const joined = ['-c', `echo $$ > ${group.members} && exec "$@"`, 'sh', ...program];
  const { status, signal, stdout, stderr } = spawnSync('sh', joined, { encoding: 'utf8' });
  assert.deepEqual({ status, signal }, { status: 0, signal: null }, stdout + stderr);
  const lines = stdout.trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Outcome);
}

describe(`within ${MEGABYTES} MB`, { skip }, () => {
  after(() => typeof group !== 'string' && group.remove());

  test("with memory: 'auto' a run keeps within the limit, or is refused before any work", () => {
    const [refused, tiled, kept] = generate({ memory: 'auto' }, [huge, large, small]) as [Outcome, Outcome, Outcome];
    assert.deepEqual([refused.code, refused.steps], ['ERR_OUT_OF_MEMORY', 0]);
    assert.match(refused.message ?? '', /^Expected a budget of at least .* would fit/);
    assert.equal(tiled.images, 1, tiled.message);
    assert.notDeepEqual(tiled.plan, { residency: 'keep', stream: false });
    assert.deepEqual([kept.images, kept.plan], [1, { residency: 'keep', stream: false }]);
  });

  test('without a budget what does not fit is an error, and the model goes on', () => {
    const [refused, kept] = generate({}, [huge, small]) as [Outcome, Outcome];
    assert.equal(refused.code, 'ERR_OUT_OF_MEMORY');
    assert.match(refused.message ?? '', /^Expected \d+ MB of memory for .* but only \d+ MB are available/);
    assert.equal(kept.images, 1, kept.message);
  });
});
