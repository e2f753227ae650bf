// What those that run a server ask: whether it lives, whether it takes requests, what it counts, what it offers.

import type { Hono } from 'hono';
import { PACKAGE_VERSION } from '../core/version.ts';
import type { Environment } from './http.ts';
import { describeApis } from './openapi.ts';
import type { Service } from './service.ts';

/** @param needsKey whether clients need a key or a password. */
export function addOperations(app: Hono<Environment>, service: Service, needsKey: boolean): void {
  const { jobs, queueSize, models, metrics } = service;
  app.get('/health', (c) => c.json({ status: 'ok', version: PACKAGE_VERSION }));
  app.get('/ready', (c) => {
    const isReady = !jobs.isClosing && jobs.waiting < queueSize;
    const status = jobs.isClosing ? 'closing' : isReady ? 'ready' : 'full';
    return c.json({ status, waiting: jobs.waiting }, isReady ? 200 : 503);
  });
  app.get('/metrics', (c) => {
    const gauges = { waiting: jobs.waiting, running: jobs.running ? 1 : 0, openModels: models.open.length };
    return c.text(metrics.text(gauges), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
  });
  const description = describeApis(needsKey);
  app.get('/openapi.json', (c) => c.json(description));
}
