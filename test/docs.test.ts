// The documentation says what the code says, and its examples run on the oldest Node that the package runs on.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { EMBEDDED_MODEL } from '../lib/index.ts';
import { temporaryFolder } from './support/tiny-model.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const examples = (page: string) =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code as string);

test('docs/api.md is made from the docstrings', () => {
  execFileSync(process.execPath, [join(root, 'scripts', 'document-api.mjs'), '--check']);
});

test('examples in JavaScript are JavaScript to this Node', () => {
  const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)];
  const all = pages.filter((page) => page.endsWith('.md')).flatMap(examples);
  assert.ok(all.length > 10);
  // Imports are all that a function cannot hold.
  for (const code of all) new Script(`async () => {\n${code.replace(/^import .*$/gm, '')}\n}`);
});

test('the example of the README draws an image', () => {
  const small = { "'v1-5-pruned-emaonly.safetensors'": JSON.stringify(EMBEDDED_MODEL), '512,': '64,', '25,': '2,' };
  const library = `'${new URL('../lib/index.js', import.meta.url)}'`;
  let [code = ''] = examples('README.md');
  for (const [from, to] of Object.entries({ ...small, "'node-diffusion'": library })) code = code.replaceAll(from, to);
  const cwd = temporaryFolder();
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd, encoding: 'utf8' });
  assert.equal(printed, '1/2\n2/2\n');
  assert.deepEqual(readdirSync(cwd), ['lighthouse.png']);
});
