// Servers for tests, with the bundled model, and requests to them.

import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type LogEntry, type ServeOptions, serve } from '../../lib/serve/index.ts';
import { temporaryFolder } from '../support/tiny-model.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the server answers.
  readonly json: any;
}

export class Client {
  readonly url: string;
  readonly log: LogEntry[];
  readonly close: (grace?: number) => Promise<void>;

  constructor(url: string, log: LogEntry[], close: (grace?: number) => Promise<void>) {
    this.url = url;
    this.log = log;
    this.close = close;
  }

  async ask(path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await fetch(this.url + path, init);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json');
    return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.ask(path, { headers });
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<Answer> {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const all = { 'content-type': 'application/json', ...headers };
    return this.ask(path, { method: 'POST', body: text, headers: all, ...(signal ? { signal } : {}) });
  }

  /** Submits a job and waits for its end. */
  async run(body: object): Promise<Answer['json']> {
    const { status, json } = await this.post('/sdcpp/v1/img_gen', body);
    assert.equal(status, 202, JSON.stringify(json));
    return this.over(json.id);
  }

  /** Waits until a job is over. */
  async over(id: string, headers: Record<string, string> = {}): Promise<Answer['json']> {
    await this.get(`/sdcpp/v1/jobs/${id}/events`, headers);
    return (await this.get(`/sdcpp/v1/jobs/${id}`, headers)).json;
  }
}

/** Starts a server on a free port, which ends with the test. */
export async function start(t: TestContext, options: ServeOptions = {}): Promise<Client> {
  const log: LogEntry[] = [];
  const server = await serve({ port: 0, logger: (entry) => log.push(entry), ...options });
  let closing: Promise<void> | undefined;
  const close = (grace?: number) => (closing ??= server.close(grace));
  t.after(() => close(0));
  return new Client(server.url, log, close);
}

/** The events of a stream, as they are named. */
export function eventsOf(text: string): { readonly event: string; readonly data: Answer['json'] }[] {
  return [...text.matchAll(/^event: (.*)\ndata: (.*)$/gm)].map(([, event = '', data = '']) => ({
    event,
    data: JSON.parse(data),
  }));
}

/** A job that takes until it is told to end. */
export const LONG = { prompt: 'a red apple', sample_params: { sample_steps: 1000 } };
export const LIMITS = { limits: { steps: 1000 } } as const;

/** An empty folder of its own. */
export function folder(): string {
  return mkdtempSync(join(temporaryFolder(), 'folder-'));
}
