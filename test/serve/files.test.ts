// Files by their names: LoRAs, embeddings, VAEs and ControlNets; and a model that a budget has no room for next to another.

import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { Run } from '../../lib/async/run.ts';
import { DiffusionError, loadModel } from '../../lib/index.ts';
import { Catalog } from '../../lib/serve/catalog.ts';
import { generateImages, type ImageRequest, prepare } from '../../lib/serve/generation.ts';
import { DEFAULT_LIMITS } from '../../lib/serve/limits.ts';
import { Log } from '../../lib/serve/log.ts';
import { Models } from '../../lib/serve/models.ts';
import { random, tensor } from '../support/loras.ts';
import { writeSafetensors } from '../support/safetensors.ts';
import { tinyControlNet } from '../support/tiny-control-net.ts';
import { tinyModel } from '../support/tiny-model.ts';
import { type Client, folder, start } from './client.ts';

const REQUEST = {
  prompt: 'a red apple',
  seed: 7,
  steps: 2,
  width: 32,
  height: 32,
  sampler_name: 'Euler',
  scheduler: 'simple',
};
const places = {
  modelDirectory: folder(),
  loraDirectory: folder(),
  embeddingDirectory: folder(),
  controlDirectory: folder(),
};

before(() => {
  copyFileSync(tinyModel({ vocabulary: 49408 }).path, join(places.modelDirectory, 'tiny.safetensors'));
  const layer = 'lora_unet_mid_block_attentions_0_proj_in';
  const lora = [
    tensor(`${layer}.lora_up.weight`, [64, 1], random(64, 1)),
    tensor(`${layer}.lora_down.weight`, [1, 64], random(64, 1)),
  ];
  writeSafetensors(join(places.loraDirectory, 'stripes.safetensors'), lora);
  writeSafetensors(join(places.embeddingDirectory, 'zzcat.safetensors'), [
    tensor('emb_params', [2, 64], random(128, 1)),
  ]);
  copyFileSync(tinyControlNet(), join(places.controlDirectory, 'edges.safetensors'));
});

async function image(client: Client, body: object): Promise<Buffer> {
  const { status, json } = await client.post('/sdapi/v1/txt2img', { ...REQUEST, ...body });
  assert.equal(status, 200, JSON.stringify(json));
  return Buffer.from(json.images[0], 'base64');
}

test('what a request names changes the image, as it does without the server', async (t) => {
  const client = await start(t, places);
  const plain = await image(client, {});
  await using model = await loadModel(join(places.modelDirectory, 'tiny.safetensors'));
  const { loraDirectory } = places;
  const options = { seed: 7, steps: 2, width: 32, height: 32, sampler: 'euler', scheduler: 'simple' } as const;
  const { images } = await model.txt2img({ ...options, prompt: 'a red apple <lora:stripes:0.8>', loraDirectory });
  assert.deepEqual(await image(client, { prompt: 'a red apple <lora:stripes:0.8>' }), await images[0]?.png());
  const { json: worded } = await client.post('/sdapi/v1/txt2img', { ...REQUEST, prompt: 'zzcat' });
  assert.match(JSON.parse(worded.info).infotexts[0], /Embeddings: zzcat \(zzcat\.safetensors\)/);
  const control = {
    model: 'edges [abc]',
    module: 'canny',
    image: plain.toString('base64'),
    weight: 1,
    threshold_a: 64,
    threshold_b: 64,
  };
  const controlled = await image(client, { alwayson_scripts: { ControlNet: { args: [control, { enabled: false }] } } });
  assert.notDeepEqual(controlled, plain);
  const off = await image(client, { alwayson_scripts: { controlnet: { args: [{ ...control, enabled: false }] } } });
  assert.deepEqual(off, plain);
  const body = {
    prompt: 'a red apple',
    lora: [{ path: 'stripes', multiplier: 0.8 }],
    control_net: 'edges',
    control_strength: 0,
  };
  const job = await client.run({
    ...body,
    control_image: plain.toString('base64'),
    sample_params: { sample_steps: 1 },
  });
  assert.equal(job.status, 'completed', JSON.stringify(job.error));
  for (const prompt of ['<lora:STRIPES:1>', '<lora:stripe:1>']) {
    const { status, json } = await client.post('/sdapi/v1/txt2img', { ...REQUEST, prompt });
    assert.equal(status, 404);
    assert.match(json.detail, /Did you mean 'stripes'\?/);
  }
});

test('a model that a budget has no room for next to another is opened alone', async () => {
  const log: string[] = [];
  const catalog = new Catalog({});
  const request: ImageRequest = {
    task: 'txt2img',
    options: { prompt: 'x', steps: 1 },
    runs: 1,
    names: {},
    unknown: [],
  };
  const prepared = await prepare(
    request,
    new Models(catalog, undefined, {}, 2, new Log(undefined)),
    catalog,
    DEFAULT_LIMITS,
  );
  const full = new DiffusionError('ERR_OUT_OF_MEMORY', 'no room');
  const result = { images: [], seed: 1, timings: { steps: [] }, warnings: [] };
  const open = ['another', 'this'];
  const models = {
    open,
    close: async () => {
      open.length = 0;
      log.push('close');
    },
    use: async () => {
      if (open.length === 0) open.push('this');
      const run = () => new Run([], async () => (open.length > 1 ? Promise.reject(full) : result));
      return {
        info: {},
        txt2img: () => {
          log.push('run');
          return run();
        },
      };
    },
  } as unknown as Models;
  const job = { signal: new AbortController().signal, isFinishing: false, report() {}, follow() {} };
  await generateImages(job, prepared, models);
  assert.deepEqual(log, ['run', 'close', 'run']);
  open.length = 0;
  const alone = { ...models, use: async () => ({ info: {}, txt2img: () => new Run([], () => Promise.reject(full)) }) };
  await assert.rejects(generateImages(job, prepared, alone as unknown as Models), full);
});
