// Who may ask: keys and passwords, origins of web pages, names of the host, and sizes of bodies.

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Hono, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { cors } from 'hono/cors';
import { RequestError } from './failure.ts';
import type { Environment, Exchange } from './http.ts';
import type { CheckedHandlerOptions } from './options.ts';

/**
 * What is asked by those that have no key: programs that watch the server, and whoever was given the address of an
 * image, which nobody can guess.
 */
const OPEN = /^\/(health|ready|v1\/images\/files\/.*)$/;

/** Requests with bodies beside those that wait. */
const MARGIN = 32;
/** What ends requests, and so must get through. */
const ENDING = /\/(interrupt|skip|cancel|finish)$/;

/** Puts the guards before all routes. */
export function addGuards(app: Hono<Environment>, options: CheckedHandlerOptions): void {
  const { corsOrigins, hosts, limits } = options;
  if (hosts) app.use(requireHost(hosts));
  if (corsOrigins.length > 0) {
    const origin = corsOrigins.includes('*') ? '*' : [...corsOrigins];
    app.use(cors({ origin, maxAge: 600 }));
  }
  app.use(requireOrigin(corsOrigins));
  app.use(authenticate(options));
  app.use(requireRoom(options.queueSize + MARGIN));
  const tooLarge = () => {
    throw new RequestError(
      'too-large',
      `Expected a body of at most ${limits.bodyBytes} bytes but received a larger one`,
    );
  };
  app.use(bodyLimit({ maxSize: limits.bodyBytes, onError: tooLarge }));
}

/** A page whose name was made to lead to this machine (DNS rebinding) still calls it by that name. */
function requireHost(hosts: readonly string[]): MiddlewareHandler<Environment> {
  return async (c, next) => {
    const name = hostName(c.req.header('host') ?? new URL(c.req.url).host);
    if (!hosts.includes(name)) throw new RequestError('forbidden', 'The server does not go by that name');
    await next();
  };
}

/** The name in `name:port`, an IPv6 address without brackets. */
function hostName(host: string): string {
  return host
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
}

/** A web page anywhere could otherwise have its visitors' browsers ask. */
function requireOrigin(allowed: readonly string[]): MiddlewareHandler<Environment> {
  return async (c, next) => {
    const origin = c.req.header('origin');
    const host = c.req.header('host') ?? new URL(c.req.url).host;
    const isOwn = origin !== undefined && URL.canParse(origin) && new URL(origin).host === host;
    if (origin !== undefined && !isOwn && !allowed.includes(origin) && !allowed.includes('*')) {
      throw new RequestError('forbidden', 'Web pages of that origin may not use this server');
    }
    await next();
  };
}

/** Bodies are read before requests are queued, so their number is limited too. */
function requireRoom(most: number): MiddlewareHandler<Environment> {
  let inside = 0;
  return async (c, next) => {
    if (c.req.method !== 'POST' || ENDING.test(c.req.path)) return next();
    if (inside >= most) throw new RequestError('full', 'Too many requests are being answered. Try again later');
    inside++;
    try {
      await next();
    } finally {
      inside--;
    }
  };
}

/** Says who a client is, and refuses those without a key or password where there are any. */
function authenticate({ users, keys, clientOf }: CheckedHandlerOptions): MiddlewareHandler<Environment> {
  const known = [...users.map((user) => `basic ${user}`), ...keys.map((key) => `bearer ${key}`)].map(digest);
  const scheme = users.length > 0 ? 'Basic realm="node-diffusion", charset="UTF-8"' : 'Bearer';
  return async (c, next) => {
    if (known.length === 0) c.set('client', clientOf?.(c.req.raw) ?? addressOf(c));
    else if (!OPEN.test(c.req.path)) {
      const given = digest(credential(c.req.header('authorization') ?? ''));
      // All are compared, so that the time says nothing of which are alike.
      const which = known.map((one) => timingSafeEqual(one, given)).indexOf(true);
      if (which < 0) {
        c.header('www-authenticate', scheme);
        throw new RequestError('unauthorized', 'Expected a key or a password of this server');
      }
      c.set('client', `user ${which}`);
    }
    await next();
  };
}

/** `basic name:password` or `bearer key`. */
function credential(header: string): string {
  const [, scheme = '', value = ''] = /^(basic|bearer) +(\S+) *$/i.exec(header) ?? [];
  const isBasic = scheme.toLowerCase() === 'basic';
  return `${scheme.toLowerCase()} ${isBasic ? Buffer.from(value, 'base64').toString() : value}`;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** The remote address, where Node's server received the request. */
function addressOf(c: Exchange): string {
  const { incoming } = (c.env ?? {}) as { incoming?: IncomingMessage };
  return incoming?.socket?.remoteAddress ?? '';
}
