// Many clients at once that come, leave, cancel and finish at random: no job is lost, and memory stays flat.
//
//   LOAD_TEST=600 npm run test:js -- serve/load     for ten minutes

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Client, start } from './client.ts';

const SECONDS = Number(process.env.LOAD_TEST ?? 2);
const CLIENTS = 50;
/** Bytes of JavaScript that may stay: results are kept for those that ask later. */
const MOST_GROWTH = 48 * 2 ** 20;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function memory(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** The same numbers each time (Numerical Recipes' generator). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

type Counts = Record<string, number>;

/** One client until the end: what it did, counted by what came of it. */
async function visit(client: Client, key: string, until: number, counts: Counts): Promise<void> {
  const next = random(key.length * 7919 + Number(key.slice(3)));
  const headers = { authorization: `Bearer ${key}` };
  const count = (what: string) => (counts[what] = (counts[what] ?? 0) + 1);
  while (Date.now() < until) {
    const steps = 1 + Math.floor(next() * 8);
    const kind = next();
    const leave = new AbortController();
    const patience = next() < 0.5 ? 20 + next() * 400 : 60_000;
    const timer = globalThis.setTimeout(() => leave.abort(), patience);
    try {
      if (kind < 0.35) {
        const body = { prompt: 'a red apple', steps, width: 64, height: 64 };
        const { status } = await client.post('/sdapi/v1/txt2img', body, headers, leave.signal);
        count(`webui ${status}`);
      } else if (kind < 0.6) {
        const body = { prompt: 'a red apple', steps, stream: next() < 0.5, partial_images: 1 };
        const { status } = await client.post('/v1/images/generations', body, headers, leave.signal);
        count(`openai ${status}`);
      } else {
        await submit(client, headers, { prompt: 'x', sample_params: { sample_steps: steps } }, next(), count);
      }
    } catch (error) {
      if (!leave.signal.aborted) throw error;
      count('left');
    }
    clearTimeout(timer);
    await setTimeout(next() * 30);
  }
}

async function submit(
  client: Client,
  headers: Record<string, string>,
  body: object,
  choice: number,
  count: (what: string) => void,
): Promise<void> {
  const { status, json } = await client.post('/sdcpp/v1/img_gen', body, headers);
  if (status !== 202) return count(`jobs ${status}`);
  const path = `/sdcpp/v1/jobs/${json.id}`;
  if (choice < 0.6) {
    await setTimeout(choice * 200);
    const how = choice < 0.3 ? 'cancel' : 'finish';
    count(`${how} ${(await client.post(`${path}/${how}`, {}, headers)).status}`);
  }
  const job = await client.over(json.id, headers);
  count(`job ${job.status}`);
  assert.ok(['completed', 'cancelled'].includes(job.status), JSON.stringify(job));
}

test(`${CLIENTS} clients for ${SECONDS} s`, async (t) => {
  const keys = Array.from({ length: CLIENTS }, (_, i) => `key${i}`);
  const client = await start(t, { keys, queueSize: 10 });
  const metrics = async () => (await client.get('/metrics', { authorization: 'Bearer key0' })).text;
  const counts: Counts = {};
  const round = (milliseconds: number) =>
    Promise.all(keys.map((key) => visit(client, key, Date.now() + milliseconds, counts)));
  await round(SECONDS * 400);
  const before = memory();
  client.log.length = 0;
  await round(SECONDS * 600);
  while (!/diffuse_running_jobs 0\n/.test(await metrics())) await setTimeout(10);
  const growth = memory() - before;
  t.diagnostic(`${JSON.stringify(counts)}, ${(growth / 2 ** 20).toFixed(1)} MiB more`);
  const text = await metrics();
  assert.match(text, /diffuse_queue_jobs 0\n/);
  // Only the queue refuses, and nothing fails.
  const statuses = Object.keys(counts).map((what) => what.split(' ')[1]);
  const known = ['200', '202', '429', '409', 'completed', 'cancelled', undefined];
  assert.deepEqual(
    statuses.filter((status) => !known.includes(status)),
    [],
  );
  for (const [, code] of text.matchAll(/diffuse_failures_total\{code="(\w+)"\}/g)) assert.equal(code, 'ERR_CANCELLED');
  assert.deepEqual(
    client.log.filter(({ level }) => level === 'error' || level === 'warn'),
    [],
  );
  assert.ok((counts['job completed'] ?? 0) > 0 && (counts['webui 200'] ?? 0) > 0 && (counts.left ?? 0) > 0);
  assert.ok(growth < MOST_GROWTH, `${growth} bytes`);
});
