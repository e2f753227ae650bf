// The API of jobs, `/sdcpp/v1`: that of stable-diffusion.cpp's server, with cancelling, progress and events besides.

import type { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { SAMPLER_NAMES } from '../sampler/index.ts';
import { toMetadataName } from '../sampler/names.ts';
import { SCHEDULER_NAMES } from '../schedule/index.ts';
import { HIRES_UPSCALERS, hiresLabel } from '../task/hires-upscalers.ts';
import { RequestError } from './failure.ts';
import { followJob } from './following.ts';
import type { ImagesResult } from './generation.ts';
import { asBody, type Environment, type Exchange, parameter, readJson } from './http.ts';
import type { Job } from './job.ts';
import { toImageRequest } from './jobs-fields.ts';
import type { Service } from './service.ts';

export function addJobsApi(app: Hono<Environment>, service: Service): void {
  const find = (c: Exchange) => findJob(c, service);
  app.get('/sdcpp/v1/capabilities', async (c) => c.json(await capabilities(service)));
  app.post('/sdcpp/v1/img_gen', async (c) => {
    const request = toImageRequest(await readJson(c));
    const { job } = await service.generate(request, c.get('client'), true);
    const { id, kind, created } = job;
    const poll_url = `/sdcpp/v1/jobs/${id}`;
    return c.json({ id, kind, status: 'queued', created: seconds(created), poll_url }, 202);
  });
  app.get('/sdcpp/v1/jobs/:id', (c) => c.json(describeJob(find(c), service)));
  app.post('/sdcpp/v1/jobs/:id/cancel', async (c) => {
    const job = find(c);
    if (job.isOver) throw new RequestError('conflict', `The job is ${job.state} and cannot be cancelled`);
    job.cancel();
    await job.over();
    return c.json(describeJob(job, service));
  });
  app.post('/sdcpp/v1/jobs/:id/finish', async (c) => {
    const job = find(c);
    if (job.isOver) throw new RequestError('conflict', `The job is ${job.state} and cannot be finished early`);
    job.finish();
    return c.json(describeJob(job, service));
  });
  app.get('/sdcpp/v1/jobs/:id/events', (c) => sendEvents(c, find(c), service));
  app.get('/sdcpp/v1/jobs/:id/images/:n', (c) => {
    const image = find(c).result?.images[Number(parameter(c, 'n'))];
    if (!image) throw new RequestError('not-found', 'The job has no such image');
    return c.body(asBody(image.png), 200, { 'content-type': 'image/png', 'cache-control': 'private, max-age=600' });
  });
}

/** A client's own job: those of others are as if there were none. */
function findJob(c: Exchange, { jobs }: Service): Job<ImagesResult> {
  const job = jobs.get(parameter(c, 'id')) as Job<ImagesResult>;
  if (job.client.startsWith('user ') && job.client !== c.get('client')) {
    throw new RequestError('not-found', 'There is no such job');
  }
  return job;
}

function describeJob(job: Job<ImagesResult>, { jobs }: Service): object {
  const { id, kind, state, created, started, ended, result, failure, progress } = job;
  const { step = 0, steps = 0, eta = 0 } = progress ?? {};
  const error = failure && {
    code: failure.kind === 'cancelled' ? 'cancelled' : failure.code,
    message: failure.message,
  };
  return {
    ...{ id, kind, status: state, created: seconds(created) },
    ...{ started: secondsOr(started), completed: secondsOr(ended) },
    queue_position: state === 'queued' ? jobs.position(job) : 0,
    progress: progress ? { step, steps, eta } : null,
    result: result ? describeResult(id, result) : null,
    error: error ?? null,
  };
}

function describeResult(id: string, { images, warnings }: ImagesResult): object {
  return {
    output_format: 'png',
    images: images.map(({ png, seed }, index) => ({
      ...{ index, b64_json: png.toString('base64'), seed: typeof seed === 'bigint' ? String(seed) : seed },
      url: `/sdcpp/v1/jobs/${id}/images/${index}`,
    })),
    warnings,
  };
}

/**
 * Sends what becomes of a job: `queued` with its place, `step`, and at last `done` or `error`. `?preview=1` adds
 * previews, as base64.
 */
function sendEvents(c: Exchange, job: Job<ImagesResult>, service: Service): Response {
  const { jobs } = service;
  const withPreviews = ['1', 'true'].includes(c.req.query('preview') ?? '');
  return streamSSE(c, async (stream) => {
    const send = (event: string, data: object) => stream.writeSSE({ event, data: JSON.stringify(data) });
    let [position, shown] = [-1, -1];
    const look = async () => {
      const at = jobs.position(job);
      if (job.state === 'queued' && at !== position) {
        position = at;
        await send('queued', { position });
      }
      const { progress } = job;
      if (!progress || progress.run * progress.steps + progress.step === shown) return;
      const { step, steps, eta, run, runs } = progress;
      shown = run * steps + step;
      const png = withPreviews ? await progress.preview?.png() : undefined;
      const preview = png ? { preview: png.toString('base64') } : {};
      await send('step', { index: step - 1, total: steps, run, runs, eta, ...preview });
    };
    if (!(await followJob(job, stream, look))) return;
    const { failure } = job;
    if (failure) await send('error', { code: failure.code, message: failure.message });
    else await send('done', describeJob(job, service));
  });
}

async function capabilities({ models, catalog, limits, queueSize }: Service): Promise<object> {
  const [all, loras, upscalers, controls] = await Promise.all([
    models.list(),
    catalog.list('lora'),
    catalog.list('upscaler'),
    catalog.list('control'),
  ]);
  const [first] = all;
  const side = Math.floor(Math.sqrt(limits.pixels) / 8) * 8;
  return {
    model: { name: first?.file, stem: first?.name, path: '' },
    models: all.map(({ name }) => name),
    ...{ current_mode: 'img_gen', supported_modes: ['img_gen'] },
    output_formats_by_mode: { img_gen: ['png'] },
    features_by_mode: {
      img_gen: {
        ...{ init_image: true, mask_image: true, control_image: true, lora: true, vae_tiling: true, hires: true },
        ...{ cancel_queued: true, cancel_generating: true, finish_early: true, events: true },
      },
    },
    samplers: SAMPLER_NAMES,
    sampler_labels: Object.fromEntries(SAMPLER_NAMES.map((name) => [name, toMetadataName.sampler(name)])),
    schedulers: SCHEDULER_NAMES,
    loras: loras.map(({ name, file }) => ({ name, path: file })),
    control_nets: controls.map(({ name }) => ({ name })),
    upscalers: [
      ...HIRES_UPSCALERS.map((name) => ({ name: hiresLabel(name) })),
      ...upscalers.map(({ name }) => ({ name })),
    ],
    limits: {
      ...{ min_width: 8, max_width: side, min_height: 8, max_height: side, max_pixels: limits.pixels },
      ...{ max_batch_count: limits.images, max_steps: limits.steps, max_queue_size: queueSize },
    },
  };
}

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}

function secondsOr(milliseconds: number | undefined): number | null {
  return milliseconds === undefined ? null : seconds(milliseconds);
}
