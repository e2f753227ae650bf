// The handler: a server's APIs as a function from requests to responses, to mount in any server.

import { createApp } from './app.ts';
import { checkHandlerOptions, type HandlerOptions } from './options.ts';
import { Service } from './service.ts';

/** The APIs of a server. Made by {@link createHandler}. */
export interface Handler extends AsyncDisposable {
  /**
   * Answers a request, as the `fetch` of servers of Web standards does. Never rejects.
   *
   * @param env what the server knows beside the request; `@hono/node-server` passes Node's own, which has the address
   *   of the client.
   */
  fetch(request: Request, env?: unknown): Promise<Response>;
  /**
   * Shuts down: takes no more requests, ends those that wait, lets the one in progress go on, then closes all models.
   *
   * @param grace milliseconds after which the one in progress is cancelled. Default 20,000.
   */
  close(grace?: number): Promise<void>;
}

const GRACE = 20_000;

/**
 * Creates the handler of a server, which opens models when they are needed.
 *
 * ```ts
 * const handler = createHandler({ modelDirectory: 'models' });
 * const response = await handler.fetch(new Request('http://localhost/health'));
 * ```
 *
 * @throws TypeError or RangeError for wrong options, with all problems in `problems`.
 */
export function createHandler(options: HandlerOptions = {}): Handler {
  const checked = checkHandlerOptions(options);
  const service = new Service(checked);
  const app = createApp(service, checked);
  const close = (grace = GRACE) => service.close(grace);
  return {
    fetch: async (request, env) => app.fetch(request, env as object | undefined),
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}
