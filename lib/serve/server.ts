// A server of its own: the handler behind Node's HTTP server.

import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { DiffusionError } from '../core/errors.ts';
import { systemMessage } from '../files/user-file.ts';
import { OptionCheck } from '../options/check.ts';
import { createApp } from './app.ts';
import { HANDLER_OPTIONS, type HandlerOptions, handlerOptions } from './options.ts';
import { Service } from './service.ts';

/** Options of {@link serve}. */
export interface ServeOptions extends HandlerOptions {
  /** Address to listen on. Default `127.0.0.1`: programs of this machine alone can ask. */
  host?: string | undefined;
  /** Port to listen on, 0 for any that is free. Default 7860. */
  port?: number | undefined;
}

/** A server that listens. Made by {@link serve}. */
export interface Server extends AsyncDisposable {
  /** `http://127.0.0.1:7860` */
  readonly url: string;
  /**
   * Shuts down: takes no more requests, ends those that wait, lets the one in progress go on, then closes all models.
   *
   * @param grace milliseconds after which the one in progress is cancelled. Default 20,000.
   */
  close(grace?: number): Promise<void>;
}

const GRACE = 20_000;
/** Milliseconds for the last answers. */
const LAST_ANSWERS = 2000;
/** Names of this machine for its own programs. */
const LOOPBACK = ['localhost', '127.0.0.1', '::1'];
/** Milliseconds for the headers of a request, and for the whole of it. */
const TIMEOUTS = { headersTimeout: 20_000, requestTimeout: 120_000 };

/**
 * Starts a server.
 *
 * ```ts
 * await using server = await serve({ modelDirectory: 'models', loraDirectory: 'loras' });
 * console.log(server.url);
 * ```
 *
 * @throws TypeError or RangeError for wrong options, with all problems in `problems`; DiffusionError `ERR_LISTEN` where
 *   the address is in use.
 */
export async function serve(options: ServeOptions = {}): Promise<Server> {
  const check = new OptionCheck(options, [...HANDLER_OPTIONS, 'host', 'port']);
  const host = check.string('host', '127.0.0.1', 255);
  const port = check.number('port', 7860, { min: 0, max: 65_535, integer: true });
  const given = handlerOptions(check);
  check.done();
  const checked = { ...given, hosts: given.hosts ?? (LOOPBACK.includes(host) ? LOOPBACK : undefined) };
  const service = new Service(checked);
  const app = createApp(service, checked);
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: TIMEOUTS,
    overrideGlobalObjects: false,
  }) as HttpServer;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `Cannot listen on port ${port} of ${host}: ${systemMessage(cause)}. Choose another, or 0 for any`;
      reject(new DiffusionError('ERR_LISTEN', message, { cause }));
    });
    server.listen(port, host, resolve);
  });
  const { address, port: taken, family } = server.address() as AddressInfo;
  const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`;
  service.log.write('info', 'listening', { url });
  const isOpen = !LOOPBACK.includes(host) && checked.users.length + checked.keys.length === 0;
  if (isOpen)
    service.log.write('warn', 'listening', { message: 'Everyone who reaches this address may ask: give keys' });
  const close = async (grace = GRACE) => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    await service.close(grace);
    // Answers may still be on their way; connections that nobody uses would stay open.
    const timer = setTimeout(() => server.closeAllConnections(), LAST_ANSWERS);
    server.closeIdleConnections();
    await closed;
    clearTimeout(timer);
  };
  return { url, close, [Symbol.asyncDispose]: () => close() };
}
