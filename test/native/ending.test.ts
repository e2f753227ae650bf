// Cancelling and disposing at any moment.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { addon, DECODED_LENGTH, decode, encodeText, never, openTiny, tiny } from '../support/addon.ts';
import { bestBelow } from '../support/event-loop.ts';
import type { TestModel } from '../support/networks.ts';

const cancelled = { name: 'Error', code: 'ERR_CANCELLED' };
const disposed = { name: 'Error', code: 'ERR_DISPOSED' };

let model: TestModel;
before(async () => {
  model = await openTiny();
});
after(() => model.dispose());

/** Milliseconds from `cancel()` to the rejection of `call`. */
async function timeToReject(cancel: () => unknown, call: Promise<unknown>, expected: object): Promise<number> {
  const start = performance.now();
  cancel();
  await assert.rejects(call, expected);
  return performance.now() - start;
}

test('a running call is cancelled within 200 ms, and the next one runs', async () => {
  const time = await bestBelow(200, async () => {
    const flag = new addon.Cancellation();
    const call = decode(model, flag);
    await setTimeout(100);
    return timeToReject(() => flag.cancel(), call, cancelled);
  });
  assert.ok(time < 200, `it took ${time.toFixed(0)} ms`);
  assert.equal((await encodeText(model)).hidden.length, 77 * 64);
});

test('a waiting call is cancelled at once, while another runs on', async () => {
  const flag = new addon.Cancellation();
  const running = decode(model);
  let ran = false;
  running.then(() => {
    ran = true;
  });
  const waiting = [encodeText(model, flag), encodeText(model, flag)];
  const last = encodeText(model);
  await setTimeout(20);
  const time = await timeToReject(() => flag.cancel(), Promise.any(waiting), { name: 'AggregateError' });
  assert.ok(time < 200, `it took ${time.toFixed(0)} ms`);
  assert.equal(ran, false);
  await Promise.all(waiting.map((call) => assert.rejects(call, cancelled)));
  assert.equal((await running).length, DECODED_LENGTH);
  assert.equal((await last).hidden.length, 77 * 64);
});

test('a raised flag ends opening and inspecting, then and later', async () => {
  const flag = new addon.Cancellation();
  const calls = [openTiny({ cancellation: flag }), addon.inspect({ model: tiny.path }, flag)];
  flag.cancel();
  flag.cancel();
  await Promise.all(calls.map((call) => assert.rejects(call, cancelled)));
  await assert.rejects(openTiny({ cancellation: flag }), cancelled);
  await assert.rejects(addon.inspect({ model: tiny.path }, flag), cancelled);
  await assert.rejects(encodeText(model, flag), cancelled);
});

test('one flag ends the calls of several models', async () => {
  const flag = new addon.Cancellation();
  const other = await openTiny();
  const calls = [decode(model, flag), decode(other, flag), encodeText(other, flag)];
  flag.cancel();
  await Promise.all(calls.map((call) => assert.rejects(call, cancelled)));
  assert.ok(await encodeText(other));
  await other.dispose();
});

test('dispose() ends the running and the waiting calls within 200 ms, before it resolves', async () => {
  const time = await bestBelow(200, async () => {
    const opened = await openTiny();
    const settled: string[] = [];
    const note = (name: string, promise: Promise<unknown>): Promise<unknown> =>
      promise.then(
        () => settled.push(`${name} resolved`),
        (error) => settled.push(`${name} ${error.code}`),
      );
    const latent = { data: new Float32Array(4 * 80 * 80), shape: [1, 4, 80, 80] };
    const evaluate = () => opened.native.evaluate('vae_decoder', { latent }, {}, never);
    const calls = [note('running', evaluate()), note('waiting', evaluate())];
    await setTimeout(100);
    const start = performance.now();
    calls.push(note('first', opened.dispose()), note('second', opened.dispose()));
    await Promise.all(calls);
    const took = performance.now() - start;
    assert.deepEqual(settled, ['running ERR_DISPOSED', 'waiting ERR_DISPOSED', 'first resolved', 'second resolved']);
    return took;
  });
  assert.ok(time < 200, `it took ${time.toFixed(0)} ms`);
});

test('a disposed model can be disposed again, and refuses calls', async () => {
  const opened = await openTiny();
  await opened.dispose();
  await opened.dispose();
  await assert.rejects(encodeText(opened), disposed);
  await assert.rejects(decode(opened), disposed);
  assert.equal(opened.info.family, 'sd1');
});

test('dispose() from the settling of a call, and right after open', async () => {
  const opened = await openTiny();
  await encodeText(opened).then(() => opened.dispose());
  const other = await openTiny();
  const call = encodeText(other);
  const end = other.dispose();
  await assert.rejects(call, disposed);
  await end;
});

test('a call that was cancelled before its model was disposed says so', async () => {
  const opened = await openTiny();
  const flag = new addon.Cancellation();
  const call = decode(opened, flag);
  flag.cancel();
  const end = opened.dispose();
  await assert.rejects(call, cancelled);
  await end;
});

test('1,000 times open, evaluate and dispose leave the memory flat', { timeout: 600_000 }, async () => {
  const cycles = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const opened = await openTiny();
      // Every fourth model goes without a call, every fourth in the middle of one.
      if (i % 4 === 1) encodeText(opened, never).catch(() => {});
      else if (i % 4 > 1) await encodeText(opened);
      await opened.dispose();
    }
  };
  await cycles(250);
  const before = process.memoryUsage.rss();
  await cycles(750);
  const growth = (process.memoryUsage.rss() - before) / 2 ** 20;
  // Each model takes some 5 MiB while it is open.
  assert.ok(growth < 32, `memory grew by ${growth.toFixed(1)} MiB`);
});
