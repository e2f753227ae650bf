// Fails single allocations in each of the calls on trial, and all from a certain one on. Runs by itself, with the allocator
// of native/test/failing_memory.cc preloaded; tells a line of JSON for each call:
//
//   LD_PRELOAD=build/memory/failing_memory.node node dist/test/memory/sweep.js native|arrays [SAMPLES [NAME]]
//
// `native`: those of the native side. `arrays`: large arrays of JavaScript. SAMPLES is how many of the allocations of a call
// fail in turn; without it, all do. NAME is that of the only call.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import type { Trial } from './trial.ts';

interface FailingMemory {
  /** The allocation of this number, from 1, fails from now on; with `rest`, all after it too. */
  arm(chosen: number, rest: boolean, arrays: boolean): void;
  /** Allocations since, and how many of them failed. */
  disarm(): [counted: number, failed: number];
  /** Whether the arrays of this Node can be told from its other allocations. */
  readonly findsArrays: boolean;
}

const memory = createRequire(import.meta.url)(process.env.LD_PRELOAD ?? '') as FailingMemory;
const arrays = process.argv[2] === 'arrays';

const bytes = (values: Float32Array | Uint8Array): Buffer =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength);

/** `samples` numbers from 1 to `count`, the first and the last among them. */
function spread(count: number, samples: number): number[] {
  if (samples >= count) return Array.from({ length: count }, (_, i) => i + 1);
  return Array.from({ length: samples }, (_, i) => 1 + Math.round((i * (count - 1)) / Math.max(1, samples - 1)));
}

async function sweep({ name, prepare, call, end }: Trial<unknown>, samples: number): Promise<void> {
  const first = await prepare();
  memory.arm(0, false, arrays);
  const expected = bytes(await call(first));
  const [count] = memory.disarm();
  await end(first);
  assert.ok(count > 0, `${name} takes memory`);
  const outcomes: Record<string, number> = {};
  for (const rest of [false, true]) {
    for (const chosen of spread(count, samples)) {
      const what = `${name}: allocation ${chosen} of ${count}${rest ? ' and all after it' : ''}`;
      const subject = await prepare();
      memory.arm(chosen, rest, arrays);
      let outcome: string;
      try {
        const result = bytes(await call(subject));
        memory.disarm();
        assert.ok(result.equals(expected), `${what}: another result`);
        outcome = 'right';
      } catch (error) {
        const [, failed] = memory.disarm();
        if (error instanceof assert.AssertionError) throw error;
        assert.ok(failed > 0, `${what}: failed without cause: ${error}`);
        const { code } = error as { code?: string };
        assert.equal(code, 'ERR_OUT_OF_MEMORY', `${what}: ${(error as Error).stack}`);
        outcome = 'refused';
      }
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      assert.ok(bytes(await call(subject)).equals(expected), `${what}: another result with memory back`);
      await end(subject);
    }
  }
  console.log(JSON.stringify({ name, count, ...outcomes }));
}

assert.ok(!arrays || memory.findsArrays, 'this Node allocates arrays elsewhere: mend failing_memory.cc');
const samples = process.argv[3] === undefined ? Number.POSITIVE_INFINITY : Number(process.argv[3]);
const only = process.argv[4];
const trials = arrays
  ? (await import('./array-trials.ts')).arrayTrials
  : (await import('./native-trials.ts')).nativeTrials;
for (const one of trials) if (!only || one.name === only) await sweep(one, samples);
