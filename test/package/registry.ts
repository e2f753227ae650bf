// A registry of npm that has the packages in release/, so that package managers install them as they would published
// ones. It passes on what it is asked for others. A worker thread, because tests wait for programs that they start.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { run } from './installation.ts';

/** A started registry. */
export interface Registry {
  readonly url: string;
  stop(): Promise<unknown>;
}

interface Content {
  /** Tarballs by file name. */
  readonly tarballs: ReadonlyMap<string, Buffer>;
  /** What the registry says of a package, by its name. */
  readonly packages: ReadonlyMap<string, object>;
}

/** @param folder has the tarballs. */
export async function startRegistry(folder: string): Promise<Registry> {
  const upstream = run('npm', ['config', 'get', 'registry'], folder).trim().replace(/\/$/, '');
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { folder, upstream } });
  const url = await new Promise<string>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  return { url, stop: () => worker.terminate() };
}

function readContent(folder: string, url: string): Content {
  const tarballs = new Map<string, Buffer>();
  const packages = new Map<string, object>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.tgz'))) {
    const bytes = readFileSync(join(folder, file));
    const { stdout } = spawnSync('tar', ['-xzOf', join(folder, file), 'package/package.json'], { encoding: 'utf8' });
    const manifest = JSON.parse(stdout) as { name: string; version: string };
    const { name, version } = manifest;
    const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
    const shasum = createHash('sha1').update(bytes).digest('hex');
    const dist = { tarball: `${url}/-/${file}`, integrity, shasum };
    // Some package managers take no package that is younger than a day.
    const published = '2026-01-01T00:00:00.000Z';
    tarballs.set(file, bytes);
    packages.set(name, {
      name,
      'dist-tags': { latest: version },
      versions: { [version]: { ...manifest, dist } },
      time: { created: published, modified: published, [version]: published },
    });
  }
  return { tarballs, packages };
}

function answer({ tarballs, packages }: Content, path: string): Buffer | undefined {
  const tarball = /^\/-\/(.+)$/.exec(path);
  if (tarball) return tarballs.get(tarball[1] as string);
  const found = packages.get(path.slice(1));
  return found && Buffer.from(JSON.stringify(found));
}

async function serve(content: Content, upstream: string, request: IncomingMessage, response: ServerResponse) {
  const path = decodeURIComponent(request.url ?? '');
  const own = answer(content, path);
  if (own) {
    response.setHeader('content-type', path.endsWith('.tgz') ? 'application/octet-stream' : 'application/json');
    response.end(own);
  } else if (path.startsWith('/@node-diffusion/') || request.method !== 'GET') {
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end('{"error":"not found"}');
  } else {
    const { accept = '*/*' } = request.headers;
    const passed = await fetch(`${upstream}${request.url}`, { headers: { accept } });
    response.writeHead(passed.status, { 'content-type': passed.headers.get('content-type') ?? 'application/json' });
    response.end(Buffer.from(await passed.arrayBuffer()));
  }
}

if (!isMainThread && workerData?.upstream) {
  const { folder, upstream } = workerData as { folder: string; upstream: string };
  let content: Content;
  const server = createServer((request, response) => {
    serve(content, upstream, request, response).catch((error: Error) => {
      response.writeHead(502);
      response.end(error.message);
    });
  });
  server.listen(0, '127.0.0.1', () => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    content = readContent(folder, url);
    parentPort?.postMessage(url);
  });
}
