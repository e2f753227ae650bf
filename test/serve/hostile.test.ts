// Hostile requests: each ends with a status of 4xx in the form of its API, without a path of this machine, and the server
// goes on.

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PNG } from 'pngjs';
import { EMBEDDED_MODEL } from '../../lib/index.ts';
import { root } from '../support/places.ts';
import { folder, start } from './client.ts';

type Case = readonly [what: string, path: string, body: unknown, init?: RequestInit];

const TXT2IMG = '/sdapi/v1/txt2img';
const IMG2IMG = '/sdapi/v1/img2img';
const EXTRA = '/sdapi/v1/extra-single-image';
const GENERATIONS = '/v1/images/generations';
const JOB = '/sdcpp/v1/img_gen';

const png = PNG.sync.write(new PNG({ width: 8, height: 8 }));
const image = png.toString('base64');

/** A file of a few bytes that says it is a huge image. */
function bomb(): string {
  const huge = Buffer.from(png);
  huge.writeUInt32BE(65_535, 16);
  huge.writeUInt32BE(65_535, 20);
  return huge.toString('base64');
}

/** Values that name a file or an address where an image belongs. */
const NOT_IMAGES: readonly unknown[] = [
  ...['/etc/passwd', '../../../etc/passwd', 'C:\\Windows\\win.ini', 'file:///etc/passwd', 'http://127.0.0.1:1/x.png'],
  ...[
    'https://example.com/x.png',
    'data:text/html,<b>',
    'data:image/png;base64,',
    '',
    ' ',
    '!!!',
    'AAAA',
    {},
    [],
    7,
    true,
  ],
  ...[image.slice(0, 60), bomb(), Buffer.from('GIF89a').toString('base64')],
];

/** Names that lead out of a folder, or would. */
const NOT_NAMES = [
  ...[
    '/etc/passwd',
    '../secret',
    '../../etc/passwd',
    '..\\secret',
    'link',
    'linked/secret',
    'a\0b',
    'file:///etc/passwd',
  ],
  ...['http://127.0.0.1/x.safetensors', '.', '..', '%2e%2e/secret', 'secret/../../secret', '~', '$HOME', '__proto__'],
];

/** Numbers that no field takes. */
const NOT_NUMBERS: readonly unknown[] = [-5, 0.5, 1e9, 1e308, '7', 'x', [], {}, true];

const webui: readonly Case[] = [
  ...NOT_NAMES.map((name): Case => ['a LoRA in the prompt', TXT2IMG, { prompt: `<lora:${name}:1>` }]),
  ['a LoRA without a name', TXT2IMG, { prompt: '<lora::1>' }],
  ['a LoRA with no weight', TXT2IMG, { prompt: '<lora:good:NaN>' }],
  ['a hypernetwork', TXT2IMG, { prompt: '<hypernet:/etc/passwd:1>' }],
  ...NOT_NAMES.map((name): Case => ['a model', TXT2IMG, { override_settings: { sd_model_checkpoint: name } }]),
  ...NOT_NAMES.map((name): Case => ['a VAE', TXT2IMG, { override_settings: { sd_vae: name } }]),
  ...NOT_NAMES.map((name): Case => ['a setting', '/sdapi/v1/options', { sd_model_checkpoint: name }]),
  ...NOT_NAMES.map((name): Case => ['an upscaler', EXTRA, { image, upscaler_1: name }]),
  ...NOT_NAMES.map((name): Case => ['a second pass', TXT2IMG, { enable_hr: true, hr_upscaler: name }]),
  ...NOT_NAMES.map(
    (model): Case => [
      ...(['a ControlNet', TXT2IMG, { alwayson_scripts: { ControlNet: { args: [{ model, image }] } } }] as const),
    ],
  ),
  ...NOT_NAMES.map((name): Case => ['a sampler', TXT2IMG, { sampler_name: name }]),
  ...NOT_IMAGES.map((one): Case => ['an image', IMG2IMG, { init_images: [one] }]),
  // No mask at all is none.
  ...NOT_IMAGES.filter(Boolean).map((mask): Case => ['a mask', IMG2IMG, { init_images: [image], mask }]),
  ...NOT_IMAGES.map((one): Case => ['extras', EXTRA, { image: one }]),
  ...NOT_IMAGES.map((one): Case => ['metadata', '/sdapi/v1/png-info', { image: one }]),
  ...NOT_IMAGES.map(
    (one): Case => ['edges', '/controlnet/detect', { controlnet_module: 'canny', controlnet_input_images: [one] }],
  ),
  ...['steps', 'batch_size', 'n_iter', 'width', 'hr_scale', 'hr_second_pass_steps'].flatMap((name) =>
    NOT_NUMBERS.map((value): Case => ['a number', TXT2IMG, { enable_hr: true, [name]: value }]),
  ),
  ['many pixels', TXT2IMG, { width: 16_384, height: 16_384 }],
  ['many pixels together', TXT2IMG, { width: 1024, height: 1024, batch_size: 8 }],
  ['many pixels in the end', TXT2IMG, { enable_hr: true, hr_resize_x: 8192, hr_resize_y: 8192 }],
  ['a huge result', EXTRA, { image, resize_mode: 1, upscaling_resize_w: 16_384, upscaling_resize_h: 16_384 }],
  ['a huge scale', EXTRA, { image, upscaling_resize: 1e9 }],
  ['a long prompt', TXT2IMG, { prompt: 'x '.repeat(100_000) }],
  ['a deep prompt', TXT2IMG, { prompt: '('.repeat(9000) }],
  ['a prompt of another kind', TXT2IMG, { prompt: { toString: 'x' } }],
  ['extensions of another kind', TXT2IMG, { alwayson_scripts: [] }],
  ['units of another kind', TXT2IMG, { alwayson_scripts: { ControlNet: { args: [null, 7] } } }],
  [
    'a preprocessor that there is not',
    '/controlnet/detect',
    { controlnet_module: '../x', controlnet_input_images: [image] },
  ],
  ['many images', '/sdapi/v1/extra-batch-images', { imageList: Array.from({ length: 100 }, () => ({ data: image })) }],
  ['no route', '/sdapi/v1/..%2f..%2fetc%2fpasswd', {}],
];

const openai: readonly Case[] = [
  ...NOT_NAMES.map((model): Case => ['a model', GENERATIONS, { prompt: 'x', model }]),
  ...NOT_NAMES.map((name): Case => ['a LoRA', GENERATIONS, { prompt: `<lora:${name}:1>` }]),
  ...NOT_NUMBERS.map((n): Case => ['a number', GENERATIONS, { prompt: 'x', n }]),
  ...['1e9x1', '99999x99999', '-1x5', '0x0', '512', 'x', 'AxB'].map(
    (size): Case => [...(['a size', GENERATIONS, { prompt: 'x', size }] as const)],
  ),
  ['a streamed failure', GENERATIONS, { prompt: 'x', stream: true, size: '99999x99999' }],
  ['an image that is a path', '/v1/images/edits', undefined, { body: form({ prompt: 'x', image: '/etc/passwd' }) }],
  ['an image that is none', '/v1/images/edits', undefined, { body: form({ prompt: 'x', image: new Blob(['x']) }) }],
  ['a form that is none', '/v1/images/edits', 'x', { headers: { 'content-type': 'multipart/form-data; boundary=y' } }],
  ['a form without a boundary', '/v1/images/edits', 'x', { headers: { 'content-type': 'multipart/form-data' } }],
  ['a model in the address', '/v1/models/..%2f..%2fetc%2fpasswd', undefined, { method: 'GET' }],
  ['a file in the address', '/v1/images/files/..%2f..%2fetc/passwd', undefined, { method: 'GET' }],
];

const jobs: readonly Case[] = [
  ...NOT_NAMES.flatMap((name): Case[] => [
    ['a LoRA', JOB, { prompt: 'x', lora: [{ path: name }] }],
    ['a model', JOB, { prompt: 'x', model: name }],
    ['a ControlNet', JOB, { prompt: 'x', control_net: name, control_image: image }],
    ['an upscaler', JOB, { prompt: 'x', hires: { enabled: true, upscaler: name } }],
  ]),
  ...NOT_IMAGES.filter(Boolean).map((one): Case => ['an image', JOB, { prompt: 'x', init_image: one }]),
  ...NOT_NUMBERS.map((n): Case => ['a number', JOB, { prompt: 'x', sample_params: { sample_steps: n } }]),
  ...[[1], [1, 2], ['x', 0], [-1, 0], Array.from({ length: 1e5 }, (_, i) => 1e5 - 1 - i)].map(
    (custom_sigmas): Case => [...(['noise levels', JOB, { prompt: 'x', sample_params: { custom_sigmas } }] as const)],
  ),
  ['an object that is none', JOB, { prompt: 'x', sample_params: 7 }],
  ['a seed that is none', JOB, { prompt: 'x', seed: -2 }],
  ['a job that is none', '/sdcpp/v1/jobs/..%2f..%2fetc', undefined, { method: 'GET' }],
  ['an image of no job', '/sdcpp/v1/jobs/x/images/-1', undefined, { method: 'GET' }],
];

/** Bodies that are no JSON object. */
const bodies: readonly Case[] = [TXT2IMG, GENERATIONS, JOB].flatMap((path) =>
  ['', '{', '[]', 'null', '7', '"x"', '\0', '[['.repeat(50_000), `{"prompt":${'['.repeat(50_000)}`].map(
    (body): Case => ['a body', path, body],
  ),
);

function form(fields: Readonly<Record<string, string | Blob>>): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') data.append(name, value);
    else data.append(name, value, 'x.png');
  }
  return data;
}

/** Folders with something outside of them. */
function folders() {
  const place = folder();
  writeFileSync(join(place, 'secret.safetensors'), 'secret');
  const inside = join(place, 'inside');
  mkdirSync(join(inside, 'good'), { recursive: true });
  copyFileSync(EMBEDDED_MODEL, join(inside, 'good', 'good.gguf'));
  symlinkSync(join(place, 'secret.safetensors'), join(inside, 'link.safetensors'));
  symlinkSync(place, join(inside, 'linked'));
  return {
    ...{ modelDirectory: inside, loraDirectory: inside, vaeDirectory: inside },
    ...{ controlDirectory: inside, upscalerDirectory: inside },
  };
}

/** What no answer may hold. */
const LEAKS = [root, tmpdir(), '/etc', 'node_modules', '.ts:', '.js:', 'secret.safetensors', '    at '];

const FORMS: readonly (readonly [path: RegExp, keys: readonly string[]])[] = [
  [/^\/(sdapi|controlnet)/, ['error', 'detail', 'body', 'errors']],
  [/^\/v1/, ['error']],
  [/^\/sdcpp/, ['error', 'code', 'problems']],
];

test('every hostile request is refused in the form of its API, without paths', async (t) => {
  const client = await start(t, { ...folders(), queueSize: 2 });
  for (const [what, path, body, init = {}] of [...webui, ...openai, ...jobs, ...bodies]) {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const json = init.body || init.headers ? {} : { headers: { 'content-type': 'application/json' } };
    const answer = await client.ask(path, {
      method: 'POST',
      ...json,
      ...(body === undefined ? {} : { body: text }),
      ...init,
    });
    const shown = `${what}: ${path} ${text?.slice(0, 200)}: ${answer.status} ${answer.text.slice(0, 400)}`;
    assert.ok(answer.status >= 400 && answer.status < 500 && answer.status !== 429, shown);
    const [, keys] = FORMS.find(([pattern]) => pattern.test(path)) ?? [];
    assert.deepEqual(Object.keys(answer.json), keys, shown);
    for (const leak of LEAKS) assert.ok(!answer.text.includes(leak), `${leak} in ${shown}`);
  }
  const unexpected = client.log.filter(({ level }) => level === 'error');
  assert.deepEqual(unexpected, []);
  const { status } = await client.post(GENERATIONS, { prompt: 'a red apple', steps: 1, model: 'good/good' });
  assert.equal(status, 200);
});

test('bodies that are too large are refused, whether they say so or not', async (t) => {
  const client = await start(t, { limits: { bodyBytes: 10_000 } });
  const large = JSON.stringify({ prompt: 'x'.repeat(20_000) });
  for (const path of [TXT2IMG, GENERATIONS, JOB]) {
    assert.equal((await client.post(path, large)).status, 413);
    const stream = new Blob([large]).stream();
    const chunked = { method: 'POST', body: stream, duplex: 'half' } as RequestInit;
    const status = await client.ask(path, chunked).then(
      (answer) => answer.status,
      () => 413,
    );
    assert.equal(status, 413);
  }
});

test('pages of other origins, and names that were made to lead here, are refused', async (t) => {
  const client = await start(t, { corsOrigins: ['https://mine.example'] });
  const { host, port } = new URL(client.url);
  const ask = (headers: Record<string, string>, method = 'POST') =>
    new Promise<{ status: number | undefined; allowed: string | undefined }>((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, path: '/sdapi/v1/interrupt', method, headers }, (answer) => {
        answer.resume();
        resolve({ status: answer.statusCode, allowed: answer.headers['access-control-allow-origin'] });
      });
      asked.on('error', reject).end();
    });
  for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1', `https://evil.example/${host}`]) {
    assert.equal((await ask({ origin })).status, 403, origin);
  }
  for (const name of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example', '[::2]']) {
    assert.equal((await ask({ host: name })).status, 403, name);
  }
  for (const name of ['localhost', `LOCALHOST:${port}`, '127.0.0.1:1', '[::1]']) {
    assert.equal((await ask({ host: name })).status, 200, name);
  }
  assert.deepEqual(await ask({ origin: client.url }), { status: 200, allowed: undefined });
  assert.deepEqual(await ask({ origin: 'https://mine.example' }), { status: 200, allowed: 'https://mine.example' });
  const preflight = { origin: 'https://mine.example', 'access-control-request-method': 'POST' };
  assert.deepEqual(await ask(preflight, 'OPTIONS'), { status: 204, allowed: 'https://mine.example' });
  assert.equal((await ask({ ...preflight, origin: 'https://evil.example' }, 'OPTIONS')).allowed, undefined);
});
