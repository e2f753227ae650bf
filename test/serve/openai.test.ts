// OpenAI's images API: generations, edits, streams, and failures.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { PNG } from 'pngjs';
import { loadModel } from '../../lib/index.ts';
import { eventsOf, LIMITS, start } from './client.ts';

const APPLE = { prompt: 'a red apple', seed: 7, steps: 3, sampler: 'euler' } as const;
const GENERATIONS = '/v1/images/generations';

/** An image that is transparent on its left. */
function halfTransparent(): Buffer {
  const png = new PNG({ width: 64, height: 64 });
  for (let i = 0; i < 64 * 64; i++) png.data.set([200, 30, 30, i % 64 < 32 ? 0 : 255], 4 * i);
  return PNG.sync.write(png);
}

function form(fields: Readonly<Record<string, string | Buffer>>): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') data.append(name, value);
    else data.append(name, new Blob([new Uint8Array(value)], { type: 'image/png' }), `${name}.png`);
  }
  return data;
}

test('images are those of the model, as base64 and by their addresses', async (t) => {
  const client = await start(t, { keys: ['k'] });
  const headers = { authorization: 'Bearer k' };
  await using model = await loadModel();
  const expected = await Promise.all(
    [7, 8].map(async (seed) => (await model.txt2img({ ...APPLE, seed })).images[0]?.png()),
  );
  const { json } = await client.post(
    GENERATIONS,
    { ...APPLE, n: 2, size: '64x64', quality: 'high', user: 'me' },
    headers,
  );
  assert.deepEqual(
    json.data.map(({ b64_json }: { b64_json: string }) => Buffer.from(b64_json, 'base64')),
    expected,
  );
  assert.deepEqual([json.output_format, json.size], ['png', '64x64']);
  const { step, ...others } = { ...APPLE, step: 3 };
  const body = { ...others, steps: undefined, step, response_format: 'url', model: 'emoji-64' };
  const { json: byUrl } = await client.post(GENERATIONS, body, headers);
  const { url } = byUrl.data[0];
  assert.ok(url.startsWith(client.url));
  assert.deepEqual(Buffer.from(await (await fetch(url)).arrayBuffer()), expected[0]);
  assert.equal((await fetch(url.replace(/0\.png$/, '1.png'))).status, 404);
});

test('edits start from an image, and draw where the mask is transparent', async (t) => {
  const client = await start(t);
  const image = halfTransparent();
  const fields = { prompt: 'a red apple', seed: '7', steps: '4', sampler: 'euler', strength: '0.5' };
  const edit = async (body: FormData) => {
    const { status, json } = await client.ask('/v1/images/edits', { method: 'POST', body });
    assert.equal(status, 200, JSON.stringify(json));
    return Buffer.from(json.data[0].b64_json, 'base64');
  };
  const apple = Buffer.from((await client.post(GENERATIONS, APPLE)).json.data[0].b64_json, 'base64');
  await using model = await loadModel();
  const options = { image: apple, prompt: 'a red apple', seed: 7, steps: 4, sampler: 'euler', strength: 0.5 } as const;
  assert.deepEqual(
    await edit(form({ ...fields, 'image[]': apple })),
    await (await model.img2img(options)).images[0]?.png(),
  );
  const [drawn, before] = [await edit(form({ ...fields, image: apple, mask: image })), apple].map((png) =>
    PNG.sync.read(png),
  );
  let changed = 0;
  for (let i = 0; i < 64 * 64; i++) {
    const same = [0, 1, 2].every((c) => drawn?.data[4 * i + c] === before?.data[4 * i + c]);
    if (i % 64 < 32) changed += same ? 0 : 1;
    else assert.ok(same, `pixel ${i}`);
  }
  assert.ok(changed > 0);
});

test('a stream has partial images of the whole size, and the result', async (t) => {
  const client = await start(t);
  const body = { ...APPLE, steps: 8, stream: true, partial_images: 3 };
  const { text, headers } = await client.post(GENERATIONS, body);
  assert.match(headers.get('content-type') ?? '', /^text\/event-stream/);
  const events = eventsOf(text);
  const last = events.at(-1);
  const partial = events.slice(0, -1);
  assert.ok(partial.length >= 1 && partial.length <= 3, `${partial.length}`);
  for (const [i, { event, data }] of partial.entries()) {
    assert.deepEqual([event, data.type, data.partial_image_index], ['image_generation.partial_image', event, i]);
    assert.equal(PNG.sync.read(Buffer.from(data.b64_json, 'base64')).width, 64);
  }
  assert.deepEqual(
    [last?.event, last?.data.size, last?.data.usage.total_tokens],
    ['image_generation.completed', '64x64', 0],
  );
  await using model = await loadModel();
  const own = await model.txt2img({ ...APPLE, steps: 8 });
  assert.deepEqual(Buffer.from(last?.data.b64_json, 'base64'), await own.images[0]?.png());
  const editing = form({ prompt: 'x', image: halfTransparent(), stream: 'true', steps: '2' });
  const edited = await client.ask('/v1/images/edits', { method: 'POST', body: editing });
  assert.equal(eventsOf(edited.text).at(-1)?.event, 'image_edit.completed');
});

test('a client that leaves a stream cancels its request', async (t) => {
  const client = await start(t, LIMITS);
  const leave = new AbortController();
  const response = await fetch(client.url + GENERATIONS, {
    ...{ method: 'POST', signal: leave.signal, headers: { 'content-type': 'application/json' } },
    body: JSON.stringify({ ...APPLE, steps: 200, stream: true, partial_images: 3 }),
  });
  await response.body?.getReader().read();
  leave.abort();
  while (!client.log.some(({ event, state }) => event === 'job' && state === 'cancelled')) await setTimeout(5);
});

test('failures have the form of the API', async (t) => {
  const client = await start(t, { queueSize: 1 });
  const cases: [body: unknown, status: number, param: string | null, code: string][] = [
    [{ ...APPLE, model: 'dall-e-3' }, 404, 'model', 'model_not_found'],
    [{ ...APPLE, size: '64' }, 400, 'size', 'ERR_INVALID_ARG_VALUE'],
    [{ ...APPLE, size: '4096x4096' }, 400, 'size', 'ERR_INVALID_ARG_VALUE'],
    [{ ...APPLE, n: 17 }, 400, 'n', 'ERR_INVALID_ARG_VALUE'],
    [{ ...APPLE, output_format: 'jpeg' }, 400, 'output_format', 'ERR_INVALID_ARG_VALUE'],
    [{ ...APPLE, partial_images: 4 }, 400, 'partial_images', 'ERR_INVALID_ARG_VALUE'],
    [{ ...APPLE, response_format: 'jpg' }, 400, 'response_format', 'ERR_INVALID_ARG_VALUE'],
    [{ ...APPLE, cfg_scale: 'x' }, 400, 'cfg_scale', 'ERR_INVALID_ARG_TYPE'],
    [{}, 400, 'prompt', 'ERR_INVALID_ARG_TYPE'],
    ['{', 400, null, 'ERR_INVALID'],
  ];
  for (const [body, expected, param, code] of cases) {
    const { status, json } = await client.post(GENERATIONS, body);
    assert.deepEqual([status, json.error?.param, json.error?.code], [expected, param, code], JSON.stringify(json));
    assert.deepEqual(Object.keys(json.error), ['message', 'type', 'param', 'code']);
  }
  for (const fields of [{ prompt: 'x' }, { prompt: 'x', image: 'text' }] as Record<string, string>[]) {
    const { status, json } = await client.ask('/v1/images/edits', { method: 'POST', body: form(fields) });
    assert.deepEqual([status, json.error.param], [400, 'image']);
  }
  assert.equal((await client.post('/v1/images/edits', APPLE)).json.error.type, 'invalid_request_error');
  const { json } = await client.get('/v1/models');
  assert.deepEqual(
    json.data.map(({ id }: { id: string }) => id),
    ['emoji-64'],
  );
  assert.equal((await client.get('/v1/models/emoji-64')).json.object, 'model');
  assert.equal((await client.get('/v1/models/a/b')).json.error.code, 'model_not_found');
});
