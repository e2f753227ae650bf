// What those that run a server ask: whether it lives, whether it takes requests.

import type { Hono } from 'hono';
import { PACKAGE_VERSION } from '../core/version.ts';
import type { Environment } from './http.ts';
import type { Service } from './service.ts';

export function addOperations(app: Hono<Environment>, { jobs, queueSize }: Service): void {
  app.get('/health', (c) => c.json({ status: 'ok', version: PACKAGE_VERSION }));
  app.get('/ready', (c) => {
    const isReady = !jobs.isClosing && jobs.waiting < queueSize;
    const status = jobs.isClosing ? 'closing' : isReady ? 'ready' : 'full';
    return c.json({ status, waiting: jobs.waiting }, isReady ? 200 : 503);
  });
}
