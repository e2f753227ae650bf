// npm `openai`: models, images, streams, edits, failures.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import OpenAI, { NotFoundError, toFile } from 'openai';

const [baseURL, apple] = [`${process.argv[2]}/v1`, readFileSync(process.argv[3])];
const client = new OpenAI({ baseURL, apiKey: 'key' });
const [{ id: model }] = (await client.models.list()).data;
const request = { model, prompt: 'a red apple', size: '64x64' };
const isPng = (text) => assert.equal(Buffer.from(text, 'base64').toString('latin1', 1, 4), 'PNG');

const { data } = await client.images.generate({ ...request, n: 2, quality: 'high' });
assert.equal(data.length, 2);
for (const { b64_json } of data) isPng(b64_json);

const [{ url }] = (await client.images.generate({ ...request, response_format: 'url' })).data;
assert.equal((await fetch(url)).headers.get('content-type'), 'image/png');

const types = [];
for await (const event of await client.images.generate({ ...request, stream: true, partial_images: 2 })) {
  types.push(event.type);
  isPng(event.b64_json);
}
assert.deepEqual([...new Set(types)], ['image_generation.partial_image', 'image_generation.completed']);

const image = await toFile(apple, 'apple.png', { type: 'image/png' });
isPng((await client.images.edit({ ...request, image })).data[0].b64_json);

await assert.rejects(client.images.generate({ ...request, model: 'none' }), (error) => {
  assert.ok(error instanceof NotFoundError);
  assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
  return true;
});
await assert.rejects(new OpenAI({ baseURL, apiKey: 'wrong' }).models.list(), { status: 401 });
const leave = new AbortController();
const left = client.images.generate({ ...request, n: 16 }, { signal: leave.signal });
setTimeout(() => leave.abort(), 100);
await assert.rejects(left, { name: 'Error' });
