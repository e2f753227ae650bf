// `diffuse serve`: starting, what it prints, signals, and wrong flags.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { diffuse, start } from '../cli/command.ts';
import { start as serveHere } from './client.ts';

test('the command listens, answers, and ends well at a signal', async () => {
  const { child, finished } = start(['serve', '--port', '0', '--json', '--api-key', 'k'], undefined, {
    ...process.env,
    DIFFUSE_API_AUTH: 'name:word',
  });
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  const { event, url } = JSON.parse(line.toString().split('\n')[0] as string);
  assert.equal(event, 'listening');
  const ask = async (headers: Record<string, string>) =>
    (await fetch(`${url}/sdcpp/v1/capabilities`, { headers })).status;
  const basic = { authorization: `Basic ${Buffer.from('name:word').toString('base64')}` };
  assert.deepEqual(await Promise.all([ask({}), ask({ authorization: 'Bearer k' }), ask(basic)]), [401, 200, 200]);
  child.kill('SIGTERM');
  const { code, stdout } = await finished;
  assert.equal(code, 0);
  const entries = stdout
    .toString()
    .trimEnd()
    .split('\n')
    .map((text) => JSON.parse(text));
  assert.deepEqual([...new Set(entries.map((entry) => entry.event))], ['listening', 'request', 'closing']);
});

test('wrong flags and addresses that are taken are reported', async (t) => {
  const { url } = await serveHere(t);
  const { port } = new URL(url);
  const cases: [args: string[], code: number, message: RegExp][] = [
    [['--port', 'x'], 2, /--port but received 'x'/],
    [['--api-auth', 'nobody'], 2, /Expected name:password for --api-auth but received another text/],
    [['--cors-origin', 'example.com'], 2, /--cors-origin/],
    [['--limit-steps', '0'], 2, /--limit-steps/],
    [['--steps', '3'], 2, /--steps/],
    [['--port', port], 1, /Cannot listen on port \d+ of 127\.0\.0\.1/],
  ];
  await Promise.all(
    cases.map(async ([args, expected, message]) => {
      const { code, stderr } = await diffuse(['serve', ...args]);
      assert.equal(code, expected, stderr);
      assert.match(stderr, message);
    }),
  );
});
