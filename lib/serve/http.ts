// What the routes of all APIs share: bodies, clients, failures.

import type { Context } from 'hono';
import { describe } from '../core/errors.ts';
import { RequestError } from './failure.ts';

/** What a request brings along to its route. */
export interface Environment {
  Variables: { client: string };
}

export type Exchange = Context<Environment>;

/** The JSON object in a body. @throws RequestError for anything else. */
export async function readJson(c: Exchange): Promise<Record<string, unknown>> {
  const value = await parse(c);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new RequestError('invalid', `Expected a JSON object as the body but received ${describe(value)}`);
}

async function parse(c: Exchange): Promise<unknown> {
  const text = await c.req.text();
  try {
    return JSON.parse(text);
  } catch {
    const received = text === '' ? 'nothing' : 'something else';
    throw new RequestError('invalid', `Expected JSON as the body but received ${received}`);
  }
}

/** A parameter of a route that is always there. */
export function parameter(c: Exchange, name: string): string {
  return c.req.param(name) ?? '';
}

/** Bytes as JavaScript's own, for a response. */
export function asBody(buffer: Buffer): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer);
}
