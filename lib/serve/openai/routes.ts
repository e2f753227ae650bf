// OpenAI's images API, `/v1`: generations, edits, and their streams.

import type { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { RequestError, toFailure } from '../failure.ts';
import { followJob } from '../following.ts';
import { type ImagesResult, unknownName } from '../generation.ts';
import { asBody, type Environment, type Exchange, parameter, readJson } from '../http.ts';
import type { Job } from '../job.ts';
import { cancelWhenGone, resultOf, type Service } from '../service.ts';
import { formImages, formValues, NAMES, type ReplyWishes, toImageRequest } from './fields.ts';
import { completedEvent, imageEvent, imagesReply, now, openaiError } from './reply.ts';

type Parsed = ReturnType<typeof toImageRequest>;

export function addOpenai(app: Hono<Environment>, service: Service): void {
  const started = now();
  const toModel = ({ name }: { name: string }) => ({
    ...{ id: name, object: 'model', created: started, owned_by: 'node-diffusion' },
  });
  app.get('/v1/models', async (c) => c.json({ object: 'list', data: (await service.models.list()).map(toModel) }));
  app.get('/v1/models/:id{.+}', async (c) => {
    const found = await service.models.find(parameter(c, 'id'));
    if (!found) throw unknownName('model', parameter(c, 'id'), await service.models.list());
    return c.json(toModel(found));
  });
  app.post('/v1/images/generations', async (c) => {
    const body = await readJson(c);
    const parsed = service.inFields(NAMES, () => toImageRequest(body, {}));
    return answer(c, service, parsed, 'image_generation');
  });
  app.post('/v1/images/edits', async (c) => {
    const form = await readForm(c);
    const images = await formImages(form, service.limits.inputPixels);
    const parsed = service.inFields(NAMES, () => toImageRequest(formValues(form), images));
    return answer(c, service, parsed, 'image_edit');
  });
  app.get('/v1/images/files/:id/:n', (c) => {
    const job = service.jobs.get(parameter(c, 'id')) as Job<ImagesResult>;
    const image = job.result?.images[Number.parseInt(parameter(c, 'n'), 10)];
    if (!image) throw new RequestError('not-found', 'There is no such image');
    return c.body(asBody(image.png), 200, { 'content-type': 'image/png', 'cache-control': 'private, max-age=600' });
  });
}

async function readForm(c: Exchange): Promise<FormData> {
  try {
    return await c.req.formData();
  } catch {
    throw new RequestError('invalid', 'Expected a form (multipart/form-data) with an image and a prompt as the body');
  }
}

async function answer(c: Exchange, service: Service, { request, wishes }: Parsed, kind: string): Promise<Response> {
  const { job } = await service.generate(request, c.get('client'), wishes.asUrl);
  if (wishes.streams) {
    cancelWhenGone(job, c.req.raw.signal);
    return stream(c, job, wishes, kind);
  }
  const result = await resultOf(job, c.req.raw.signal);
  const { origin } = new URL(c.req.url);
  const urlOf = (index: number) => `${origin}/v1/images/files/${job.id}/${index}.png`;
  return c.json(imagesReply(result, wishes.asUrl ? urlOf : undefined));
}

/** Sends some images before the result, evenly over the steps, and then the result. */
function stream(c: Exchange, job: Job<ImagesResult>, { partialImages }: ReplyWishes, kind: string): Response {
  return streamSSE(c, async (stream) => {
    const send = (event: string, data: object) => stream.writeSSE({ event, data: JSON.stringify(data) });
    let sent = 0;
    const look = async () => {
      const { preview, run = 0, runs = 1, step = 0, steps = 1 } = job.progress ?? {};
      const due = Math.floor(((run + step / steps) / runs) * (partialImages + 1));
      if (!preview || due <= sent || sent >= partialImages) return;
      const type = `${kind}.partial_image`;
      const image = imageEvent(type, await preview.png(), `${preview.width}x${preview.height}`);
      await send(type, { ...image, partial_image_index: sent++ });
    };
    if (!(await followJob(job, stream, look))) return;
    const type = `${kind}.completed`;
    for (const image of job.result?.images ?? []) await send(type, completedEvent(type, image));
    if (!job.result) await send('error', openaiError(job.failure ?? toFailure(undefined)).body);
  });
}
