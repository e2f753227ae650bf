// Puts the APIs of a server together: guards, routes, and failures in the form of each API.

import { Hono } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { type Failure, RequestError, STATUS, toFailure } from './failure.ts';
import { addGuards } from './guard.ts';
import type { Environment } from './http.ts';
import { addJobsApi } from './jobs-api.ts';
import { openaiError } from './openai/reply.ts';
import { addOpenai } from './openai/routes.ts';
import { addOperations } from './operations.ts';
import type { CheckedHandlerOptions } from './options.ts';
import type { Service } from './service.ts';
import { webuiError } from './webui/reply.ts';
import { addWebui } from './webui/routes.ts';

/** How an API reports failures. */
interface ErrorForm {
  readonly status: number;
  readonly body: object;
}

/** The form of errors under each path; the first that fits. */
const FORMS: readonly (readonly [path: RegExp, form: (failure: Failure) => ErrorForm])[] = [
  [/^\/(sdapi|controlnet|internal)\//, webuiError],
  [/^\/v1\//, openaiError],
  [/^\//, jobsError],
];

export function createApp(service: Service, options: CheckedHandlerOptions): Hono<Environment> {
  const app = new Hono<Environment>();
  app.use(async (c, next) => {
    const begin = performance.now();
    c.header('x-content-type-options', 'nosniff');
    await next();
    const { method, path } = c.req;
    const milliseconds = Math.round(performance.now() - begin);
    service.log.write('info', 'request', { method, path, status: c.res.status, milliseconds });
  });
  app.onError((error, c) => {
    const failure = toFailure(error);
    if (failure.kind === 'internal')
      service.log.write('error', 'failure', { path: c.req.path, error: String(error.stack) });
    const { status, body } = formFor(c.req.path)(failure);
    if (failure.kind === 'full') c.header('retry-after', '5');
    return c.json(body, status as ContentfulStatusCode);
  });
  app.notFound((c) => {
    throw new RequestError('not-found', `There is nothing at ${c.req.method} of this address`);
  });
  addGuards(app, options);
  addOperations(app, service, options.users.length + options.keys.length > 0);
  addJobsApi(app, service);
  addWebui(app, service);
  addOpenai(app, service);
  return app;
}

function formFor(path: string) {
  return (FORMS.find(([pattern]) => pattern.test(path)) ?? [undefined, jobsError])[1];
}

/** As stable-diffusion.cpp's server has it, with the code and the fields. */
function jobsError({ kind, code, message, problems }: Failure): ErrorForm {
  return { status: STATUS[kind], body: { error: message, code, problems } };
}
