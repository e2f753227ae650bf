// `diffuse serve`: answers requests over HTTP until a signal ends it.

import { withoutUndefined } from '../core/values.ts';
import type { LogEntry } from '../serve/log.ts';
import { HANDLER_OPTIONS } from '../serve/options.ts';
import { type ServeOptions, serve } from '../serve/server.ts';
import type { CommandLine } from './command-line.ts';
import { Problems } from './problems.ts';
import { readRequest } from './request.ts';

/** Milliseconds that the job in progress has to finish after a signal; less than the command has. */
const GRACE = 25_000;

/** @param signal ends the server once the job in progress is over. */
export async function runServe(commandLine: CommandLine, signal: AbortSignal): Promise<void> {
  const problems = new Problems(commandLine);
  const { source, load, json, verbose, options } = readRequest(commandLine, problems);
  problems.done();
  const given = options as unknown as Readonly<Record<string, unknown>>;
  const own = Object.fromEntries([...HANDLER_OPTIONS, 'host', 'port'].map((name) => [name, given[name]]));
  const limits = Object.entries(given).filter(([name]) => name.startsWith('limits.'));
  const { lists } = commandLine;
  const serving = {
    ...withoutUndefined(own),
    ...(source ? { model: source } : {}),
    load,
    keys: [...(lists['api-key'] ?? []), ...fromEnvironment('DIFFUSE_API_KEY')],
    // As in the web UI, one flag may name several, with commas between them.
    users: [...(lists['api-auth'] ?? []), ...fromEnvironment('DIFFUSE_API_AUTH')].flatMap((user) => user.split(',')),
    corsOrigins: lists['cors-origin'] ?? [],
    ...(lists['allowed-host'] ? { hosts: lists['allowed-host'] } : {}),
    limits: Object.fromEntries(limits.map(([name, value]) => [name.slice('limits.'.length), value])),
    logger: (entry: LogEntry) => print(entry, json, verbose),
  };
  const server = await serve(serving as ServeOptions);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });
  await server.close(GRACE);
}

/** A secret that no list of processes shows. */
function fromEnvironment(name: string): string[] {
  const value = process.env[name];
  return value ? [value] : [];
}

function print(entry: LogEntry, json: boolean, verbose: boolean): void {
  if (entry.level === 'debug' && !verbose) return;
  if (json) process.stdout.write(`${JSON.stringify(entry)}\n`);
  else process.stderr.write(`${toText(entry)}\n`);
}

/** An entry as a line for people. */
function toText({ time, level, event, ...fields }: LogEntry): string {
  const clock = time.slice(11, 19);
  if (event === 'listening' && fields.url) return `${clock} Listening on ${fields.url}`;
  if (event === 'request') {
    return `${clock} ${fields.status} ${fields.method} ${fields.path} ${Number(fields.milliseconds) / 1000} s`;
  }
  const rest = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
  return [clock, ...(level === 'info' || level === 'debug' ? [] : [level]), event, ...rest].join(' ');
}
