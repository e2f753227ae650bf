// The API of jobs: progress, results, cancelling, turns, and what becomes of jobs when the server ends.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { loadModel } from '../../lib/index.ts';
import { FairQueue } from '../../lib/serve/fair-queue.ts';
import { createHandler } from '../../lib/serve/index.ts';
import { eventsOf, LIMITS, LONG, start } from './client.ts';

const APPLE = { prompt: 'a red apple', seed: 7, sample_params: { sample_steps: 3, sample_method: 'euler' } };

/** The images of a job, as bytes. */
const images = (job: { result: { images: { b64_json: string }[] } }) =>
  job.result.images.map(({ b64_json }) => Buffer.from(b64_json, 'base64'));

test('a job ends with the images that the model gives', async (t) => {
  const client = await start(t);
  const job = await client.run({ ...APPLE, batch_count: 2 });
  await using model = await loadModel();
  const options = { prompt: 'a red apple', steps: 3, sampler: 'euler' } as const;
  for (const [i, image] of images(job).entries()) {
    const own = await model.txt2img({ ...options, seed: 7 + i });
    assert.deepEqual(image, await own.images[0]?.png());
  }
  assert.deepEqual([job.status, job.result.images.length, job.error], ['completed', 2, null]);
  const { url } = job.result.images[1];
  const answer = await fetch(client.url + url);
  assert.equal(answer.headers.get('content-type'), 'image/png');
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), images(job)[1]);
  assert.equal((await client.get(url.replace(/1$/, '2'))).status, 404);
});

test('events tell of the place in the queue, of steps with previews, and of the end', async (t) => {
  const client = await start(t, LIMITS);
  const first = await client.post('/sdcpp/v1/img_gen', LONG);
  const second = await client.post('/sdcpp/v1/img_gen', APPLE);
  const [one, two] = [first, second].map(({ json }) => `/sdcpp/v1/jobs/${json.id}`);
  const events = client.get(`${two}/events?preview=1`);
  await setTimeout(50);
  const { json: waiting } = await client.get(two as string);
  assert.deepEqual([waiting.status, waiting.queue_position, waiting.started], ['queued', 1, null]);
  const { json: finished } = await client.post(`${one}/finish`, {});
  assert.equal(finished.status, 'generating');
  const all = eventsOf((await events).text);
  assert.deepEqual([...new Set(all.map(({ event }) => event))], ['queued', 'step', 'done']);
  assert.deepEqual(all[0]?.data, { position: 1 });
  const step = all.find(({ event }) => event === 'step')?.data;
  assert.equal(step.total, 3);
  assert.equal(Buffer.from(step.preview, 'base64').toString('latin1', 1, 4), 'PNG');
  const { json: early } = await client.get(one as string);
  assert.deepEqual([early.status, early.result.images.length], ['completed', 1]);
  assert.ok(early.progress.step < 1000);
});

test('a job is cancelled while it waits and while it runs, and not when it is over', async (t) => {
  const client = await start(t, LIMITS);
  const [running, waiting] = [
    await client.post('/sdcpp/v1/img_gen', LONG),
    await client.post('/sdcpp/v1/img_gen', LONG),
  ];
  for (const { json } of [waiting, running]) {
    const { status, json: cancelled } = await client.post(`/sdcpp/v1/jobs/${json.id}/cancel`, {});
    assert.deepEqual([status, cancelled.status, cancelled.error.code], [200, 'cancelled', 'cancelled']);
    assert.equal((await client.post(`/sdcpp/v1/jobs/${json.id}/cancel`, {})).status, 409);
    assert.equal(eventsOf((await client.get(`/sdcpp/v1/jobs/${json.id}/events`)).text).at(-1)?.event, 'error');
  }
  assert.equal((await client.run(APPLE)).status, 'completed');
  assert.deepEqual((await client.get('/sdcpp/v1/jobs/job_0')).json.code, 'ERR_NOT_FOUND');
});

test('a full queue refuses, and says so where it is asked', async (t) => {
  const client = await start(t, { queueSize: 1, ...LIMITS });
  const ids = [];
  for (const status of [202, 202, 429]) {
    const answer = await client.post('/sdcpp/v1/img_gen', LONG);
    assert.equal(answer.status, status);
    ids.push(answer.json.id);
    if (status === 429) assert.equal(answer.headers.get('retry-after'), '5');
  }
  assert.equal((await client.get('/ready')).status, 503);
  for (const id of [ids[1], ids[0]]) await client.post(`/sdcpp/v1/jobs/${id}/cancel`, {});
  assert.deepEqual((await client.get('/ready')).json, { status: 'ready', waiting: 0 });
});

test('more requests at once than there is room for are refused before they are read', async (t) => {
  const client = await start(t, { queueSize: 1, ...LIMITS });
  const leave = new AbortController();
  const ask = () => client.post('/sdcpp/v1/img_gen', '{', {}, leave.signal).then(({ status }) => status);
  const slow = () => {
    const start = (controller: ReadableStreamDefaultController) => controller.enqueue(new TextEncoder().encode('{'));
    const body = new ReadableStream({ start, pull: () => new Promise(() => {}) });
    const init = { method: 'POST', body, duplex: 'half', signal: leave.signal } as RequestInit;
    return client.ask('/sdcpp/v1/img_gen', init).catch(() => 'left');
  };
  const held = Array.from({ length: 33 }, slow);
  while ((await ask()) !== 429) await setTimeout(5);
  assert.equal((await client.post('/sdapi/v1/interrupt', '')).status, 200);
  leave.abort();
  await Promise.all(held);
});

test('clients take turns in the queue', () => {
  const queue = new FairQueue<string>();
  for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) queue.push(item.charAt(0), item);
  assert.deepEqual(queue.inOrder(), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  assert.equal(queue.next(), 'a1');
  assert.deepEqual(queue.inOrder(), ['b1', 'c1', 'a2', 'b2', 'a3']);
  assert.equal(queue.remove('c1') && !queue.remove('c1'), true);
  queue.push('c', 'c2');
  assert.deepEqual(
    Array.from({ length: 6 }, () => queue.next()),
    ['b1', 'a2', 'c2', 'b2', 'a3', undefined],
  );
  assert.equal(queue.size, 0);
});

test('who has a key comes before the many jobs of another, and sees only its own', async (t) => {
  const client = await start(t, { keys: ['one', 'two'], users: ['name:pass:word'], ...LIMITS });
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
  const basic = { authorization: `Basic ${Buffer.from('name:pass:word').toString('base64')}` };
  const submit = async (headers: Record<string, string>, body: object = APPLE) => {
    const { status, json } = await client.post('/sdcpp/v1/img_gen', body, headers);
    assert.equal(status, 202);
    return json.id as string;
  };
  const running = await submit(bearer('one'), LONG);
  const many = [await submit(bearer('one')), await submit(bearer('one')), await submit(bearer('one'))];
  const last = await submit(basic);
  const place = async (id: string, headers: Record<string, string>) =>
    (await client.get(`/sdcpp/v1/jobs/${id}`, headers)).json.queue_position;
  assert.deepEqual([await place(many[0] as string, bearer('one')), await place(last, basic)], [1, 2]);
  assert.equal(await place(many[1] as string, bearer('one')), 3);
  for (const headers of [bearer('two'), basic]) {
    assert.equal((await client.get(`/sdcpp/v1/jobs/${running}`, headers)).status, 404);
    assert.equal((await client.post(`/sdcpp/v1/jobs/${running}/cancel`, {}, headers)).status, 404);
  }
  for (const headers of [{}, bearer('three'), bearer('name:pass:word'), { authorization: 'Basic one' }] as Record<
    string,
    string
  >[]) {
    const { status, json, headers: own } = await client.get('/sdcpp/v1/capabilities', headers);
    assert.deepEqual([status, json.code], [401, 'ERR_UNAUTHORIZED']);
    assert.match(own.get('www-authenticate') ?? '', /^Basic/);
  }
  assert.equal((await client.get('/health')).status, 200);
  await client.post(`/sdcpp/v1/jobs/${running}/cancel`, {}, bearer('one'));
  await client.over(last, basic);
});

test('images, masks, second passes and batches go their way', async (t) => {
  const client = await start(t);
  const [apple] = images(await client.run(APPLE));
  const init_image = apple?.toString('base64');
  const [again] = images(await client.run({ ...APPLE, init_image, strength: 0 }));
  assert.ok(again && again.length > 100);
  const masked = await client.run({
    ...APPLE,
    init_image,
    mask_image: `data:image/png;base64,${init_image}`,
    width: 64,
    height: 64,
  });
  assert.equal(masked.status, 'completed', JSON.stringify(masked.error));
  const large = await client.run({
    ...APPLE,
    hires: { enabled: true, scale: 2, upscaler: 'Latent (nearest)', steps: 2 },
  });
  const [hires] = images(large);
  assert.deepEqual([hires?.readUInt32BE(16), hires?.readUInt32BE(20)], [128, 128]);
  const [bare] = images(await client.run({ ...APPLE, embed_image_metadata: false }));
  assert.ok(!bare?.includes('parameters') && apple?.includes('parameters'));
});

test('a server that closes lets the running job end, and the others know', async (t) => {
  const client = await start(t, LIMITS);
  const body = { ...APPLE, sample_params: { sample_steps: 40 } };
  const [running, waiting] = [
    await client.post('/sdcpp/v1/img_gen', body),
    await client.post('/sdcpp/v1/img_gen', body),
  ];
  const events = [running, waiting].map(({ json }) => client.get(`/sdcpp/v1/jobs/${json.id}/events`));
  await setTimeout(20);
  await client.close(10_000);
  const [done, ended] = (await Promise.all(events)).map(({ text }) => eventsOf(text).at(-1));
  assert.equal(done?.data.status, 'completed');
  assert.equal(ended?.data.code, 'ERR_UNAVAILABLE');
  await assert.rejects(client.get('/health'));
});

test('a handler is mounted in any server, and takes nothing more once it is closed', async () => {
  const handler = createHandler();
  const ask = async (path: string, init?: RequestInit) => handler.fetch(new Request(`http://any.name${path}`, init));
  assert.equal((await ask('/health')).status, 200);
  await handler.close();
  const body = JSON.stringify(APPLE);
  assert.equal((await ask('/sdcpp/v1/img_gen', { method: 'POST', body })).status, 503);
  assert.deepEqual(await (await ask('/ready')).json(), { status: 'closing', waiting: 0 });
});
