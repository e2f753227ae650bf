// The calls that SillyTavern and Open WebUI make, in their order and with their fields.

import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { EMBEDDED_MODEL } from '../../lib/index.ts';
import { folder, LIMITS, start } from './client.ts';

const AUTH = { authorization: `Basic ${Buffer.from('name:word').toString('base64')}` };
const api = (name: string) => `/sdapi/v1/${name}`;

function models(): string {
  const place = folder();
  for (const name of ['one.gguf', 'two.gguf']) copyFileSync(EMBEDDED_MODEL, join(place, name));
  return place;
}

test('SillyTavern connects, chooses, generates and stops', async (t) => {
  const client = await start(t, { modelDirectory: models(), users: ['name:word'], ...LIMITS });
  const names = async (list: string, key: string) =>
    (await client.get(api(list), AUTH)).json.map((one: Record<string, unknown>) => one[key]);
  assert.equal((await client.get(api('options'), { authorization: 'Basic Og==' })).status, 401);
  assert.equal((await client.get(api('options'), AUTH)).status, 200);
  assert.deepEqual(await names('sd-models', 'title'), ['one.gguf', 'two.gguf']);
  assert.ok((await names('samplers', 'name')).includes('Euler a'));
  assert.ok((await names('schedulers', 'name')).includes('karras'));
  assert.deepEqual(await names('upscalers', 'name'), ['None', 'Lanczos']);
  assert.ok((await names('latent-upscale-modes', 'name')).includes('Latent'));
  assert.deepEqual(await names('sd-vae', 'model_name'), []);
  assert.equal((await client.get(api('sd-modules'), AUTH)).status, 404, 'that is another program');

  assert.equal((await client.post(api('options'), { sd_model_checkpoint: 'two.gguf' }, AUTH)).status, 200);
  const { json: idle } = await client.get(api('progress'), AUTH);
  assert.deepEqual([idle.progress, idle.state.job_count], [0, 0]);
  const { json: options } = await client.get(api('options'), AUTH);
  assert.deepEqual([options.sd_model_checkpoint, 'forge_preset' in options], ['two.gguf', false]);

  const body = {
    ...{ url: client.url, auth: 'name:word', prompt: 'a red apple', negative_prompt: 'a pear' },
    ...{ sampler_name: 'Euler a', scheduler: 'karras', steps: 3, cfg_scale: 7, width: 64, height: 64 },
    ...{ restore_faces: false, enable_hr: false, hr_upscaler: 'Latent', hr_scale: 1, denoising_strength: 0.7 },
    ...{ hr_second_pass_steps: 0, override_settings: { CLIP_stop_at_last_layers: 1 }, clip_skip: 1 },
    ...{ override_settings_restore_afterwards: true, save_images: true, send_images: true },
    ...{ do_not_save_grid: false, do_not_save_samples: false },
  };
  const { json: made } = await client.post(api('txt2img'), body, AUTH);
  assert.equal(made.images.length, 1);
  assert.equal(JSON.parse(made.info).sd_model_name, 'two');

  const leave = new AbortController();
  const stopped = client.post(api('txt2img'), { ...body, steps: 1000 }, AUTH, leave.signal).catch(() => 'stopped');
  while ((await client.get(api('progress'), AUTH)).json.state.sampling_step === 0) await setTimeout(5);
  const interrupted = client.post(api('interrupt'), '', AUTH);
  leave.abort();
  assert.equal(await stopped, 'stopped');
  assert.equal((await interrupted).status, 200);
  assert.equal((await client.post(api('txt2img'), body, AUTH)).status, 200);
});

test('Open WebUI sets a model with the whole options, and generates', async (t) => {
  const client = await start(t, { modelDirectory: models(), users: ['name:word'], keys: ['key'] });
  const { json: options } = await client.get(api('options'), AUTH);
  const { json: list } = await client.get(api('sd-models'), AUTH);
  const [, second] = list.map(({ title, model_name }: { title: string; model_name: string }) => ({
    id: title,
    name: model_name,
  }));
  assert.equal((await client.post(api('options'), { ...options, sd_model_checkpoint: second.id }, AUTH)).status, 200);
  assert.equal((await client.get(api('options'), AUTH)).json.sd_model_checkpoint, 'two.gguf');
  const body = { prompt: 'a red apple', batch_size: 2, width: 64, height: 64, steps: 3, negative_prompt: 'a pear' };
  const { json } = await client.post(
    api('txt2img'),
    { ...body, sampler_name: 'DPM++ 2M', scheduler: 'Automatic' },
    AUTH,
  );
  assert.equal(json.images.length, 2);
  assert.match(JSON.parse(json.info).infotexts[0], /Schedule type: Karras/);

  const bearer = { authorization: 'Bearer key' };
  const asked = { model: 'one', prompt: 'a red apple', n: 1, size: '64x64', response_format: 'b64_json' };
  const { json: made } = await client.post('/v1/images/generations', asked, bearer);
  const image = Buffer.from(made.data[0].b64_json, 'base64');
  const form = new FormData();
  for (const [name, value] of Object.entries({ model: 'one', prompt: 'a pear', n: '1', size: '64x64' }))
    form.append(name, value);
  form.append('image', new Blob([new Uint8Array(image)], { type: 'image/png' }), 'image.png');
  const { status, json: edited } = await client.ask('/v1/images/edits', {
    method: 'POST',
    body: form,
    headers: bearer,
  });
  assert.deepEqual([status, edited.data.length], [200, 1]);
});
