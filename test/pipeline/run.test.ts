// Runs and their queue: awaiting, iterating, cancelling, and who hears of a failure.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { SerialQueue } from '../../lib/async/queue.ts';
import { Run, type RunWork } from '../../lib/async/run.ts';
import { moduleUrl } from '../support/places.ts';

/** Emits the numbers below `count`, one a turn of the event loop, then gives their sum. */
function counting(count: number, log: string[] = []): RunWork<number, number> {
  return async (signal, emit) => {
    log.push('start');
    let sum = 0;
    for (let i = 0; i < count; i++) {
      await setImmediate();
      signal.throwIfAborted();
      emit(i);
      sum += i;
    }
    log.push('end');
    return sum;
  };
}

async function collect<T>(run: AsyncIterable<T>): Promise<T[]> {
  const steps: T[] = [];
  for await (const step of run) steps.push(step);
  return steps;
}

/** Fails the test if a rejection stays unhandled while `body` runs. */
async function withoutUnhandled(body: () => Promise<void>): Promise<void> {
  const unhandled: unknown[] = [];
  const listener = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', listener);
  try {
    await body();
    await setTimeout(5);
  } finally {
    process.off('unhandledRejection', listener);
  }
  assert.deepEqual(unhandled, []);
}

const failing: RunWork<number, number> = async (_, emit) => {
  await setImmediate();
  emit(0);
  throw new Error('broken');
};

test('a run works without being awaited, and only once', async () => {
  const log: string[] = [];
  const run = new Run([], counting(3, log));
  while (!log.includes('end')) await setImmediate();
  assert.equal(await run, 3);
  assert.equal(await run, 3);
  assert.deepEqual(await collect(run), [], 'an iteration after the end has nothing left to give');
  assert.deepEqual(log, ['start', 'end']);
});

test('a run can be iterated and awaited, by several consumers', async () => {
  const run = new Run([], counting(4));
  const [a, b, sum] = await Promise.all([collect(run), collect(run), run]);
  assert.deepEqual([a, b, sum], [[0, 1, 2, 3], [0, 1, 2, 3], 6]);
});

test('a slow consumer misses nothing', async () => {
  const steps: number[] = [];
  for await (const step of new Run([], counting(5))) {
    await setTimeout(3);
    steps.push(step);
  }
  assert.deepEqual(steps, [0, 1, 2, 3, 4]);
});

test('leaving an iteration cancels the run', async () => {
  await withoutUnhandled(async () => {
    const log: string[] = [];
    const run = new Run([], counting(100, log));
    for await (const step of run) if (step === 1) break;
    await assert.rejects(run, { name: 'AbortError' });
    assert.deepEqual(log, ['start']);
  });
});

test('an error in the loop cancels the run and comes out of the loop', async () => {
  await withoutUnhandled(async () => {
    const log: string[] = [];
    const loop = async () => {
      for await (const _ of new Run([], counting(100, log))) throw new Error('mine');
    };
    await assert.rejects(loop, { message: 'mine' });
    await setTimeout(5);
    assert.deepEqual(log, ['start']);
  });
});

test('a failure reaches whoever awaits or iterates, and nobody else', async () => {
  await withoutUnhandled(async () => {
    await assert.rejects(new Run([], failing), { message: 'broken' });
    await assert.rejects(collect(new Run([], failing)), { message: 'broken' });
    const both = new Run([], failing);
    await assert.rejects(collect(both), { message: 'broken' });
    await assert.rejects(both.finally(), { message: 'broken' });
    assert.equal(await both.catch(() => 7), 7);
  });
});

test('a failed run that nobody consumes is an unhandled rejection, as of any promise', () => {
  const runModule = moduleUrl('lib/async/run.ts');
  const script = `import { Run } from '${runModule}'; new Run([], async () => { throw new Error('broken'); });`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /broken/);
});

test('any of its signals cancels a run with its own reason, and no listener stays', async () => {
  for (const which of [0, 1]) {
    const controllers = [new AbortController(), new AbortController()] as const;
    const run = new Run(
      controllers.map(({ signal }) => signal),
      counting(100),
    );
    controllers[which]?.abort(new Error(`reason ${which}`));
    await assert.rejects(run, { message: `reason ${which}` });
  }
  await assert.rejects(new Run([AbortSignal.abort('early')], counting(3)), (reason) => reason === 'early');
});

test('a long-lived signal may serve many runs', async () => {
  const warnings: Error[] = [];
  const listener = (warning: Error) => warnings.push(warning);
  process.on('warning', listener);
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 50 }, () => new Run([signal], counting(2))));
  await setImmediate();
  process.off('warning', listener);
  assert.deepEqual(warnings, []);
});

test('a queue runs one task at a time in order, whatever becomes of the others', async () => {
  const queue = new SerialQueue();
  const { signal } = new AbortController();
  const log: string[] = [];
  const task = (name: string, fail = false) =>
    queue.run(signal, async () => {
      log.push(`${name} starts`);
      await setTimeout(2);
      log.push(`${name} ends`);
      if (fail) throw new Error(name);
      return name;
    });
  const results = await Promise.allSettled([task('a'), task('b', true), task('c')]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.deepEqual(log, ['a starts', 'a ends', 'b starts', 'b ends', 'c starts', 'c ends']);
});

test('a waiting task leaves the queue at once when it is aborted, and does not let others overtake', async () => {
  const queue = new SerialQueue();
  const controller = new AbortController();
  const log: string[] = [];
  const never = new AbortController().signal;
  const slow = queue.run(never, () => setTimeout(30).then(() => log.push('slow')));
  const aborted = queue.run(controller.signal, async () => log.push('aborted'));
  const last = queue.run(never, async () => log.push('last'));
  controller.abort(new Error('enough'));
  await assert.rejects(aborted, { message: 'enough' });
  assert.deepEqual(log, [], 'the slow task is still running');
  await Promise.all([slow, last]);
  assert.deepEqual(log, ['slow', 'last']);
});
