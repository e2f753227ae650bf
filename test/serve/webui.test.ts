// The API of AUTOMATIC1111's web UI: images, progress, interrupting, settings, extras, and failures.

import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { EMBEDDED_MODEL, loadModel } from '../../lib/index.ts';
import { tinyRrdbNet, writeUpscaler } from '../support/tiny-upscalers.ts';
import { type Client, folder, LIMITS, start } from './client.ts';

const APPLE = { prompt: 'a red apple', seed: 7, steps: 3, width: 64, height: 64, sampler_name: 'Euler' };
const LONG = { ...APPLE, steps: 1000 };
const api = (name: string) => `/sdapi/v1/${name}`;

async function image(client: Client, body: object, task = 'txt2img'): Promise<Buffer> {
  const { status, json } = await client.post(api(task), body);
  assert.equal(status, 200, JSON.stringify(json));
  assert.equal(json.images.length, 1);
  return Buffer.from(json.images[0], 'base64');
}

/** Waits until the first step of a request is finished. */
async function begun(client: Client) {
  for (;;) {
    const { json } = await client.get(api('progress?skip_current_image=true'));
    if (json.state.sampling_step > 0) return json;
    await setTimeout(5);
  }
}

test('images are those of the model, and the reply says how they were made', async (t) => {
  const client = await start(t);
  await using model = await loadModel();
  const { json } = await client.post(api('txt2img'), { ...APPLE, n_iter: 2, batch_size: 2, negative_prompt: 'a pear' });
  const options = { prompt: 'a red apple', negativePrompt: 'a pear', steps: 3, sampler: 'euler' } as const;
  const expected = [];
  for (const seed of [7, 9]) expected.push(...(await model.txt2img({ ...options, seed, batchSize: 2 })).images);
  const pngs = await Promise.all(expected.map((one) => one.png()));
  assert.deepEqual(
    json.images,
    pngs.map((png) => png.toString('base64')),
  );
  assert.deepEqual([json.parameters.n_iter, json.parameters.steps], [2, 3]);
  const info = JSON.parse(json.info);
  assert.deepEqual(info.all_seeds, [7, 8, 9, 10]);
  assert.deepEqual([info.sampler_name, info.sd_model_name, info.width], ['Euler', 'emoji-64', 64]);
  assert.match(info.infotexts[0], /^a red apple\nNegative prompt: a pear\nSteps: 3, Sampler: Euler, .*Seed: 7/);
});

test('what is given of an image starts from it', async (t) => {
  const client = await start(t);
  const apple = (await image(client, APPLE)).toString('base64');
  const same = { ...APPLE, init_images: [`data:image/png;base64,${apple}`], denoising_strength: 0.5 };
  await using model = await loadModel();
  const options = {
    image: Buffer.from(apple, 'base64'),
    prompt: 'a red apple',
    seed: 7,
    steps: 3,
    strength: 0.5,
  } as const;
  const own = await model.img2img({ ...options, sampler: 'euler', resizeMode: 'stretch', width: 64, height: 64 });
  assert.deepEqual(await image(client, same, 'img2img'), await own.images[0]?.png());
  const masked = await model.inpaint({
    ...{ ...options, mask: options.image, sampler: 'euler', resizeMode: 'stretch', width: 64, height: 64 },
    ...{ maskBlur: 4, invertMask: true, maskedContent: 'original' },
  });
  const mask = { mask: apple, inpainting_mask_invert: 1, inpainting_fill: 1, inpaint_full_res: false };
  assert.deepEqual(await image(client, { ...same, ...mask }, 'img2img'), await masked.images[0]?.png());
  const large = await image(client, {
    ...APPLE,
    enable_hr: true,
    hr_scale: 2,
    hr_second_pass_steps: 2,
    hr_upscaler: 'None',
  });
  assert.equal(large.readUInt32BE(16), 128);
  const { json } = await client.post(api('png-info'), { image: apple });
  assert.match(json.info, /^a red apple\nSteps: 3/);
  assert.equal(json.parameters.Prompt, 'a red apple');
});

test('progress is that of the request, and nothing once it is over', async (t) => {
  const client = await start(t, LIMITS);
  const idle = (await client.get(api('progress'))).json;
  assert.deepEqual([idle.progress, idle.state.job_count, idle.current_image], [0, 0, null]);
  const running = client.post(api('txt2img'), { ...LONG, force_task_id: 'mine' });
  const { progress, state } = await begun(client);
  assert.ok(progress > 0 && progress < 1, `${progress}`);
  assert.deepEqual([state.job, state.job_count, state.sampling_steps, state.interrupted], ['mine', 1, 1000, false]);
  const { current_image } = (await client.get(api('progress'))).json;
  assert.equal(Buffer.from(current_image, 'base64').toString('latin1', 1, 4), 'PNG');
  const internal = await client.post('/internal/progress', { id_task: 'mine', id_live_preview: -1 });
  assert.deepEqual([internal.json.active, internal.json.completed], [true, false]);
  assert.match(internal.json.live_preview, /^data:image\/png;base64,/);
  assert.deepEqual((await client.post(api('interrupt'), {})).json, {});
  const { status, json } = await running;
  assert.deepEqual([status, json.images.length], [200, 1]);
  assert.match(JSON.parse(json.info).infotexts[0], /Finished after: \d+/);
  const after = (await client.get(api('progress'))).json;
  assert.deepEqual([after.progress, after.state.job_count], [0, 0]);
});

test('skipping ends one image, interrupting all of them', async (t) => {
  const client = await start(t, LIMITS);
  const running = client.post(api('txt2img'), { ...LONG, n_iter: 4 });
  await begun(client);
  await client.post(api('skip'), {});
  while ((await client.get(api('progress'))).json.state.job_no === 0) await setTimeout(5);
  await client.post(api('interrupt'), {});
  assert.equal((await running).json.images.length, 2);
});

test('a client that goes cancels its request, waiting or running', async (t) => {
  const client = await start(t, LIMITS);
  const leave = [new AbortController(), new AbortController()] as const;
  const gone = leave.map(({ signal }) => client.post(api('txt2img'), LONG, {}, signal).catch(() => 'gone'));
  await begun(client);
  for (const one of [leave[1], leave[0]]) one.abort();
  assert.deepEqual(await Promise.all(gone), ['gone', 'gone']);
  assert.equal((await client.post(api('txt2img'), APPLE)).status, 200);
  const states = client.log.filter(({ event }) => event === 'job').map(({ state }) => state);
  assert.deepEqual(states, ['cancelled', 'cancelled', 'completed']);
});

test('models are chosen by name, for a request or for all later ones of a client', async (t) => {
  const modelDirectory = folder();
  for (const name of ['one.gguf', 'two.gguf']) copyFileSync(EMBEDDED_MODEL, join(modelDirectory, name));
  const client = await start(t, { modelDirectory });
  const used = async (body: object) =>
    JSON.parse((await client.post(api('txt2img'), { ...APPLE, ...body })).json.info).sd_model_name;
  const names = (await client.get(api('sd-models'))).json.map(({ title }: { title: string }) => title);
  assert.deepEqual(names, ['one.gguf', 'two.gguf']);
  assert.equal(await used({}), 'one');
  assert.equal(await used({ override_settings: { sd_model_checkpoint: 'two.gguf [abc123]' } }), 'two');
  assert.equal(await used({}), 'one');
  assert.equal((await client.post(api('options'), { sd_model_checkpoint: 'two' })).status, 200);
  const { json: options } = await client.get(api('options'));
  assert.deepEqual([options.sd_model_checkpoint, await used({})], ['two.gguf', 'two']);
  assert.equal((await client.post(api('options'), { ...options, CLIP_stop_at_last_layers: 1 })).status, 200);
  const body = { override_settings: { sd_model_checkpoint: 'one' }, override_settings_restore_afterwards: false };
  assert.deepEqual([await used(body), await used({})], ['one', 'one']);
  for (const path of ['options', 'txt2img']) {
    const wrong = { sd_model_checkpoint: 'three' };
    const { status, json } = await client.post(
      api(path),
      path === 'options' ? wrong : { ...APPLE, override_settings: wrong },
    );
    assert.deepEqual([status, Object.keys(json)], [404, ['error', 'detail', 'body', 'errors']]);
    assert.match(json.detail, /Expected the name of a model of this server but received 'three'/);
  }
  for (const path of [
    'unload-checkpoint',
    'reload-checkpoint',
    'refresh-checkpoints',
    'refresh-loras',
    'refresh-vae',
  ]) {
    assert.equal((await client.post(api(path), {})).status, 200, path);
  }
});

test('as many models stay open as may, the ones that were used last', async (t) => {
  const modelDirectory = folder();
  for (const name of ['one.gguf', 'two.gguf', 'three.gguf']) copyFileSync(EMBEDDED_MODEL, join(modelDirectory, name));
  const client = await start(t, { modelDirectory, keepModels: 2 });
  const opened = async () => Number(/^diffuse_open_models (\d)$/m.exec((await client.get('/metrics')).text)?.[1]);
  const counts = [];
  for (const sd_model_checkpoint of ['one', 'two', 'one', 'three', 'one']) {
    await image(client, { ...APPLE, override_settings: { sd_model_checkpoint } });
    counts.push(await opened());
  }
  assert.deepEqual(counts, [1, 2, 2, 2, 2]);
  const loads = client.log.filter(({ event }) => event === 'model').map(({ name }) => name);
  assert.deepEqual(loads, ['one', 'two', 'three'], 'the one that was not used for longest is closed');
  rmSync(join(modelDirectory, 'one.gguf'));
  copyFileSync(EMBEDDED_MODEL, join(modelDirectory, 'one.gguf'));
  await image(client, { ...APPLE, override_settings: { sd_model_checkpoint: 'one' } });
  assert.equal(
    client.log.filter(({ event }) => event === 'model').length,
    4,
    'a file that was replaced is opened anew',
  );
});

test('extras enlarge images, by an upscaler of the folder or a filter', async (t) => {
  const upscalerDirectory = folder();
  copyFileSync(writeUpscaler(tinyRrdbNet({ unshuffle: 2, blocks: 1 })), join(upscalerDirectory, 'x2.safetensors'));
  const client = await start(t, { upscalerDirectory });
  const apple = (await image(client, APPLE)).toString('base64');
  const names = (await client.get(api('upscalers'))).json.map(({ name }: { name: string }) => name);
  assert.deepEqual(names, ['None', 'Lanczos', 'x2']);
  const sideOf = (text: string) => Buffer.from(text, 'base64').readUInt32BE(16);
  for (const upscaler_1 of names) {
    const { json } = await client.post(api('extra-single-image'), { image: apple, upscaler_1, upscaling_resize: 3 });
    assert.equal(sideOf(json.image), 192, upscaler_1);
  }
  const size = { resize_mode: 1, upscaling_resize_w: 100, upscaling_resize_h: 50, upscaler_1: 'x2' };
  const imageList = [
    { data: apple, name: 'a' },
    { data: apple, name: 'b' },
  ];
  const { json } = await client.post(api('extra-batch-images'), { ...size, imageList });
  assert.deepEqual(json.images.map(sideOf), [100, 100]);
  const { status } = await client.post(api('extra-single-image'), {
    image: apple,
    upscaling_resize: 8,
    upscaler_1: 'x3',
  });
  assert.equal(status, 404);
  const hires = await image(client, { ...APPLE, enable_hr: true, hr_scale: 2, hr_upscaler: 'x2' });
  assert.equal(hires.readUInt32BE(16), 128);
});

test('lists say what there is, without paths', async (t) => {
  const files = folder();
  for (const name of ['b.safetensors', 'a.pt', 'notes.txt']) copyFileSync(EMBEDDED_MODEL, join(files, name));
  const client = await start(t, {
    loraDirectory: files,
    vaeDirectory: files,
    embeddingDirectory: files,
    controlDirectory: files,
  });
  const list = async (name: string) => (await client.get(api(name))).json;
  assert.deepEqual(
    (await list('loras')).map(({ name }: { name: string }) => name),
    ['a', 'b'],
  );
  assert.deepEqual(Object.keys((await list('embeddings')).loaded), ['a', 'b']);
  assert.deepEqual((await list('sd-vae')).length, 2);
  assert.ok((await list('samplers')).some(({ name }: { name: string }) => name === 'DPM++ 2M'));
  assert.equal((await list('schedulers'))[0].label, 'Automatic');
  assert.equal((await list('latent-upscale-modes'))[0].name, 'Latent');
  for (const name of ['hypernetworks', 'face-restorers', 'realesrgan-models', 'prompt-styles', 'extensions']) {
    assert.deepEqual(await list(name), []);
  }
  for (const name of ['cmd-flags', 'memory', 'scripts', 'upscalers']) assert.equal(typeof (await list(name)), 'object');
  assert.deepEqual((await client.get('/controlnet/model_list')).json, { model_list: ['a', 'b'] });
  assert.deepEqual((await client.get('/controlnet/module_list')).json.module_list, ['none', 'canny', 'depth']);
  assert.deepEqual((await client.get('/controlnet/version')).json, { version: 3 });
  assert.deepEqual((await client.get('/internal/ping')).json, {});
  const apple = (await image(await start(t), APPLE)).toString('base64');
  const canny = { controlnet_module: 'canny', controlnet_input_images: [apple] };
  assert.equal((await client.post('/controlnet/detect', canny)).json.images.length, 1);
});

test('images are saved where there is a folder for them', async (t) => {
  const outputDirectory = folder();
  const client = await start(t, { outputDirectory });
  const { json } = await client.post(api('txt2img'), { ...APPLE, save_images: true, send_images: false });
  assert.deepEqual(json.images, []);
  assert.match(readdirSync(outputDirectory).join(), /^\d{14}-\w{8}-0-7\.png$/);
});

test('what cannot be done is refused rather than left out', async (t) => {
  const client = await start(t);
  const cases: [body: object, status: number, detail: RegExp][] = [
    [{ sampler_name: 'DDIM' }, 404, /for sampler_name .*nearest is 'ddim_trailing'/],
    [{ scheduler: 'none such' }, 404, /for scheduler/],
    [{ steps: 0 }, 422, /for steps but received 0/],
    [{ steps: 151 }, 422, /at most 150 on this server for steps/],
    [{ cfg_scale: 'x' }, 422, /for cfg_scale/],
    [{ batch_size: 17 }, 422, /for batch_size x n_iter/],
    [{ n_iter: 0 }, 422, /for n_iter/],
    [{ width: 4096, height: 4096 }, 422, /at most 4194304 pixels on this server for width x height x batch_size/],
    [{ enable_hr: true, hr_scale: 8, width: 512, height: 512 }, 422, /pixels on this server/],
    [{ restore_faces: true }, 422, /for restore_faces/],
    [{ subseed_strength: 0.5 }, 422, /for subseed_strength/],
    [{ styles: ['oil'] }, 422, /for styles/],
    [{ script_name: 'SD upscale' }, 422, /for script_name/],
    [{ alwayson_scripts: { ADetailer: { args: [{}] } } }, 422, /ADetailer/],
    [{ alwayson_scripts: { ControlNet: { args: [{ model: 'x' }] } } }, 422, /image/],
    [{ override_settings: { sd_vae: 'none.such' } }, 404, /VAE of this server/],
  ];
  for (const [body, expected, detail] of cases) {
    const { status, json } = await client.post(api('txt2img'), { ...APPLE, ...body });
    assert.equal(status, expected, JSON.stringify([body, json]));
    assert.match(json.detail, detail);
  }
  const harmless = {
    subseed: 5,
    styles: [],
    s_churn: 0,
    restore_faces: false,
    eta: null,
    mood: 'good',
    alwayson_scripts: {},
  };
  assert.equal((await client.post(api('txt2img'), { ...APPLE, ...harmless })).status, 200);
  assert.equal(client.log.find(({ event }) => event === 'fields')?.unknown, 'mood');
});
