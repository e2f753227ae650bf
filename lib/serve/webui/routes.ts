// The API of AUTOMATIC1111's web UI, `/sdapi/v1`, and what its clients ask besides.

import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Hono } from 'hono';
import { canny } from '../../control/canny.ts';
import { DiffusionError } from '../../core/errors.ts';
import { readMetadata } from '../../metadata/read-metadata.ts';
import { Fields } from '../fields.ts';
import { type ImagesResult, unknownName } from '../generation.ts';
import { imageBytes } from '../given-images.ts';
import { type Environment, type Exchange, readJson } from '../http.ts';
import type { Job } from '../job.ts';
import { resultOf, type Service } from '../service.ts';
import { MODULES, moduleNamed } from './controls.ts';
import { enlarge, readEnlarging } from './extras.ts';
import { NAMES, readOverrides, toImageRequest } from './fields.ts';
import { listings } from './listings.ts';
import { progressOf, shareOf, textOf } from './progress.ts';
import { infoOf, parametersOf, timestamp } from './reply.ts';
import { Settings } from './settings.ts';

const PREFIX = '/sdapi/v1';

export function addWebui(app: Hono<Environment>, service: Service): void {
  const settings = new Settings();
  const taskIds = new WeakMap<Job, string>();
  addGeneration(app, service, settings, taskIds);
  addProgress(app, service, taskIds);
  addSettings(app, service, settings);
  addExtras(app, service);
  addControlNet(app, service);
  for (const [name, list] of Object.entries(listings(service))) {
    app.get(`${PREFIX}/${name}`, async (c) => c.json((await list()) as object));
  }
  // Folders are looked into at each request.
  for (const kind of ['checkpoints', 'loras', 'vae', 'embeddings'])
    app.post(`${PREFIX}/refresh-${kind}`, (c) => c.json(null));
}

function addGeneration(
  app: Hono<Environment>,
  service: Service,
  settings: Settings,
  taskIds: WeakMap<Job, string>,
): void {
  for (const task of ['txt2img', 'img2img'] as const) {
    app.post(`${PREFIX}/${task}`, async (c) => {
      const client = c.get('client');
      const body = await readJson(c);
      const { request, wishes } = service.inFields(NAMES, () => toImageRequest(task, body, settings.of(client)));
      const { job, prepared } = await service.generate(request, client, false);
      if (wishes.taskId !== undefined) taskIds.set(job, wishes.taskId);
      const result = await resultOf(job, c.req.raw.signal);
      if (wishes.keptSettings) settings.set(client, { ...settings.of(client), ...wishes.keptSettings });
      if (wishes.savesImages) await save(result, service);
      const images = wishes.sendsImages ? result.images.map(({ png }) => png.toString('base64')) : [];
      return c.json({ images, parameters: parametersOf(body), info: infoOf(result, prepared) });
    });
  }
}

/** Writes images into the folder for them, if there is one. */
async function save({ images }: ImagesResult, { outputDirectory }: Service): Promise<void> {
  if (outputDirectory === undefined) return;
  const name = `${timestamp(new Date())}-${randomBytes(4).toString('hex')}`;
  const write = ({ png, seed }: ImagesResult['images'][number], i: number) =>
    writeFile(join(outputDirectory, `${name}-${i}-${seed}.png`), png, { flag: 'wx' });
  try {
    await Promise.all(images.map(write));
  } catch (cause) {
    throw new DiffusionError('ERR_WRITE', 'The images could not be written', { cause });
  }
}

function addProgress(app: Hono<Environment>, { jobs }: Service, taskIds: WeakMap<Job, string>): void {
  const first = (c: Exchange): Job | undefined => jobs.of(c.get('client'))[0];
  app.get(`${PREFIX}/progress`, async (c) => {
    const skipsImage = c.req.query('skip_current_image') === 'true';
    const name = (job: Job) => taskIds.get(job) ?? job.id;
    return c.json(await progressOf(jobs.of(c.get('client')), name, skipsImage));
  });
  app.post(`${PREFIX}/interrupt`, (c) => {
    first(c)?.finish();
    return c.json({});
  });
  app.post(`${PREFIX}/skip`, (c) => {
    first(c)?.skip();
    return c.json({});
  });
  app.get('/internal/ping', (c) => c.json({}));
  app.post('/internal/progress', async (c) => {
    const fields = new Fields(await readJson(c));
    const id = fields.text('id_task');
    const job = jobs.of(c.get('client')).find((one) => taskIds.get(one) === id);
    const shows = (fields.flag('live_preview') ?? true) && job?.progress !== undefined;
    const png = shows ? await job?.progress?.preview?.png() : undefined;
    const step = job?.progress?.step ?? -1;
    const isNew = png !== undefined && step !== fields.take('id_live_preview');
    return c.json({
      ...{ active: job?.state === 'generating', queued: job?.state === 'queued', completed: job === undefined },
      ...{ progress: job ? shareOf(job) : null, eta: job?.progress?.eta ?? null },
      live_preview: isNew ? `data:image/png;base64,${png.toString('base64')}` : null,
      ...{ id_live_preview: isNew ? step : -1, textinfo: job ? textOf(job) : null },
    });
  });
}

function addSettings(app: Hono<Environment>, service: Service, settings: Settings): void {
  const { models, jobs } = service;
  /** Opens the model of a client, in its turn. */
  const load = async (c: Exchange) => {
    const { model, vae } = settings.of(c.get('client'));
    const served = await models.find(model);
    if (!served) throw unknownName('model', model ?? '', await models.list());
    const path = vae === undefined ? undefined : await service.pathOf('vae', vae);
    const work = async (job: { signal: AbortSignal }) => {
      await models.use(served, path, job.signal);
      return { bytes: 0 };
    };
    await resultOf(jobs.submit('load', c.get('client'), false, work), c.req.raw.signal);
  };
  app.get(`${PREFIX}/options`, async (c) => {
    const { model, vae, clipSkip = 1 } = settings.of(c.get('client'));
    const served = await models.find(model);
    return c.json({
      ...{ samples_save: false, samples_format: 'png', grid_save: false, return_grid: false },
      ...{ sd_model_checkpoint: served?.file ?? '', sd_checkpoint_hash: '', sd_vae: vae ?? 'Automatic' },
      ...{ CLIP_stop_at_last_layers: clipSkip, show_progress_every_n_steps: 1, eta_noise_seed_delta: 0 },
    });
  });
  app.post(`${PREFIX}/options`, async (c) => {
    const client = c.get('client');
    const fields = new Fields(await readJson(c));
    const before = settings.of(client);
    const given = service.inFields(NAMES, () => readOverrides(fields));
    const vae = fields.take('sd_vae') === undefined ? before.vae : given.vae;
    const after = { model: given.model ?? before.model, clipSkip: given.clipSkip ?? before.clipSkip, vae };
    if (after.model !== undefined && !(await models.find(after.model))) {
      throw unknownName('model', after.model, await models.list());
    }
    if (vae !== undefined) await service.pathOf('vae', vae);
    settings.set(client, after);
    if (given.model !== undefined || vae !== before.vae) await load(c);
    return c.json(null);
  });
  app.post(`${PREFIX}/reload-checkpoint`, async (c) => {
    await load(c);
    return c.json({});
  });
  app.post(`${PREFIX}/unload-checkpoint`, async (c) => {
    const work = async () => {
      await models.close();
      return { bytes: 0 };
    };
    await resultOf(jobs.submit('unload', c.get('client'), false, work), c.req.raw.signal);
    return c.json({});
  });
}

function addExtras(app: Hono<Environment>, service: Service): void {
  const run = async (c: Exchange, fields: Fields, given: readonly unknown[]) => {
    service.jobs.requirePlace();
    const enlarging = await readEnlarging(fields, given, service);
    const job = service.jobs.submit('upscale', c.get('client'), false, (one) => enlarge(one, enlarging, service));
    const { images } = await resultOf(job, c.req.raw.signal);
    return images.map((png) => png.toString('base64'));
  };
  app.post(`${PREFIX}/extra-single-image`, async (c) => {
    const fields = new Fields(await readJson(c));
    const [image] = await run(c, fields, [fields.take('image')]);
    return c.json({ html_info: '', image });
  });
  app.post(`${PREFIX}/extra-batch-images`, async (c) => {
    const fields = new Fields(await readJson(c));
    // The npm clients have names of their own for the list.
    const list = [...fields.objects('imageList'), ...fields.objects('image_list')];
    const given = list.map((one) => one.take('data') ?? one.take('image'));
    if (given.length < 1 || given.length > service.limits.images) {
      throw fields.wrong('imageList', `1 to ${service.limits.images} images`, given);
    }
    return c.json({ html_info: '', images: await run(c, fields, given) });
  });
  app.post(`${PREFIX}/png-info`, async (c) => {
    const bytes = imageBytes(new Fields(await readJson(c)).take('image'), 'image');
    const nothing = { info: '', items: {}, parameters: {} };
    try {
      const { raw, fields, prompt, negativePrompt } = await readMetadata(bytes);
      const parameters = { Prompt: prompt, 'Negative prompt': negativePrompt, ...fields };
      return c.json({ info: raw, items: { parameters: raw }, parameters });
    } catch (error) {
      // An image without parameters is none that cannot be read.
      if (error instanceof DiffusionError && /^Expected generation parameters/.test(error.message))
        return c.json(nothing);
      throw error;
    }
  });
}

function addControlNet(app: Hono<Environment>, { catalog, limits }: Service): void {
  app.get('/controlnet/version', (c) => c.json({ version: 3 }));
  app.get('/controlnet/model_list', async (c) => {
    return c.json({ model_list: (await catalog.list('control')).map(({ name }) => name) });
  });
  app.get('/controlnet/module_list', (c) => c.json({ module_list: MODULES, module_detail: {} }));
  app.post('/controlnet/detect', async (c) => {
    const fields = new Fields(await readJson(c));
    const module = moduleNamed(fields.text('controlnet_module') ?? 'none', 'controlnet_module');
    // webuiapi has a name of its own.
    const values = [...fields.list('controlnet_input_images'), ...fields.list('controlnet_images')];
    const given = values.map((one) => imageBytes(one, 'controlnet_input_images'));
    if (module === 'depth' || given.length < 1 || given.length > limits.images) {
      const [name, expected] =
        module === 'depth' ? ['controlnet_module', 'canny or none'] : ['controlnet_input_images', 'images'];
      throw fields.wrong(name as string, expected as string, module === 'depth' ? module : given);
    }
    const [low, high] = [fields.number('controlnet_threshold_a') ?? -1, fields.number('controlnet_threshold_b') ?? -1];
    const thresholds = low > 0 && high > 0 ? { low, high } : {};
    const images: string[] = [];
    for (const bytes of given) {
      const edges =
        module === 'canny' ? await canny(bytes, { ...thresholds, maxPixels: limits.inputPixels }) : undefined;
      images.push((edges ? await edges.png() : Buffer.from(bytes)).toString('base64'));
    }
    return c.json({ images, info: 'Success' });
  });
}
