// Metrics, the description of the APIs, and the log.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createApp } from '../../lib/serve/app.ts';
import { checkHandlerOptions } from '../../lib/serve/options.ts';
import { Service } from '../../lib/serve/service.ts';
import { LIMITS, LONG, start } from './client.ts';

test('metrics count jobs, images, failures and steps', async (t) => {
  const client = await start(t, LIMITS);
  const values = async () => {
    const { text, headers } = await client.get('/metrics');
    assert.match(headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    for (const line of text.trimEnd().split('\n'))
      assert.match(line, /^(# (HELP|TYPE) diffuse_\w+ .+|diffuse_\w+(\{.*\})? \S+)$/);
    return Object.fromEntries(text.split('\n').map((line) => line.split(/ (?=\S+$)/) as [string, string]));
  };
  const before = await values();
  assert.deepEqual([before.diffuse_images_total, before.diffuse_open_models], ['0', '0']);
  await client.run({ prompt: 'a red apple', batch_count: 2, sample_params: { sample_steps: 3 } });
  const { json: running } = await client.post('/sdcpp/v1/img_gen', LONG);
  const { json: waiting } = await client.post('/sdcpp/v1/img_gen', LONG);
  const during = await values();
  assert.deepEqual(
    [during.diffuse_queue_jobs, during.diffuse_running_jobs, during.diffuse_open_models],
    ['1', '1', '1'],
  );
  for (const { id } of [waiting, running]) await client.post(`/sdcpp/v1/jobs/${id}/cancel`, {});
  const after = await values();
  assert.equal(after['diffuse_jobs_total{kind="img_gen",state="completed"}'], '1');
  assert.equal(after['diffuse_jobs_total{kind="img_gen",state="cancelled"}'], '2');
  assert.equal(after['diffuse_failures_total{code="ERR_CANCELLED"}'], '2');
  assert.deepEqual([after.diffuse_images_total, after.diffuse_step_seconds_count], ['2', '6']);
  assert.equal(after['diffuse_step_seconds_bucket{le="+Inf"}'], '6');
  assert.equal(after.diffuse_wait_seconds_count, '3');
});

test('the description of the APIs has every route, and no other', async (t) => {
  const options = checkHandlerOptions({ keys: ['k'] });
  const routes = createApp(new Service(options), options)
    .routes.filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => `${method} ${path.replace(/:(\w+)(\{[^}]*\})?/g, '{$1}')}`);
  const client = await start(t);
  const { paths, openapi, security } = (await client.get('/openapi.json')).json;
  const described = Object.entries(paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  assert.deepEqual(described.sort(), [...new Set(routes)].sort());
  assert.deepEqual([openapi, security], ['3.1.0', undefined]);
  const { schema } = paths['/sdapi/v1/txt2img'].post.requestBody.content['application/json'];
  assert.match(schema.properties.cfg_scale.description, /Guidance scale/);
});

test('the log has requests and jobs, and nothing of what they are for', async (t) => {
  const client = await start(t);
  await client.run({ prompt: 'a secret apple', sample_params: { sample_steps: 2 } });
  const requests = client.log.filter(({ event }) => event === 'request');
  assert.deepEqual(requests.map(({ method, status }) => [method, status])[0], ['POST', 202]);
  const job = client.log.find(({ event }) => event === 'job');
  assert.deepEqual([job?.level, job?.kind, job?.state], ['info', 'img_gen', 'completed']);
  assert.doesNotMatch(JSON.stringify(client.log), /secret/);
});
