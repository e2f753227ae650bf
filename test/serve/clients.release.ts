// Clients of other projects, as people install them, against a server. Slow: installs them into a temporary folder.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { type Server, serve } from '../../lib/serve/index.ts';
import { root } from '../support/places.ts';
import { folder } from './client.ts';

const run = promisify(execFile);
const place = folder();
const apple = join(place, 'apple.png');
let server: Server;
let proxy: ReturnType<typeof createServer>;

before(async () => {
  cpSync(join(root, 'test', 'serve', 'clients'), place, { recursive: true });
  const npm = ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  const pip = [
    '-m',
    'pip',
    'install',
    '-q',
    '--disable-pip-version-check',
    '--target',
    'python',
    '-r',
    'requirements.txt',
  ];
  await Promise.all([run('npm', npm, { cwd: place }), run('python3', pip, { cwd: place })]);
  server = await serve({ port: 0, users: ['name:word'], keys: ['key'] });
  const headers = { authorization: 'Bearer key', 'content-type': 'application/json' };
  const body = JSON.stringify({ prompt: 'a red apple', seed: 7, steps: 8 });
  const made = await fetch(`${server.url}/v1/images/generations`, { method: 'POST', headers, body });
  const { data } = (await made.json()) as { data: [{ b64_json: string }] };
  writeFileSync(apple, Buffer.from(data[0].b64_json, 'base64'));
  // For a client that cannot give a name and a password.
  proxy = createServer((incoming, outgoing) => {
    const { method = 'GET', url, headers } = incoming;
    const authorization = `Basic ${Buffer.from('name:word').toString('base64')}`;
    const { host: _, ...others } = headers;
    const passed = request(`${server.url}${url}`, { method, headers: { ...others, authorization } }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(passed);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
});

after(async () => {
  proxy?.closeAllConnections();
  proxy?.close();
  await server?.close(0);
});

for (const script of ['openai.mjs', 'ai-sdk.mjs', 'webui.mjs']) {
  test(`npm clients: ${script}`, async () => {
    const { port } = proxy.address() as AddressInfo;
    await run(process.execPath, [script, server.url, apple, `http://127.0.0.1:${port}`], { cwd: place });
  });
}

test('PyPI clients', async () => {
  const env = { ...process.env, PYTHONPATH: join(place, 'python') };
  const { stdout } = await run('python3', ['clients.py', server.url, apple], { cwd: place, env });
  assert.doesNotMatch(stdout, /Traceback/);
});
