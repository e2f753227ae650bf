// The documentation says what the code says, and its examples run on the oldest Node that the package runs on.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { Script } from 'node:vm';
import { EMBEDDED_MODEL } from '../lib/index.ts';
import { compile, moduleUrl, root } from './support/places.ts';
import { temporaryFolder } from './support/tiny-model.ts';

const examples = (page: string) =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code as string);

/** Every Markdown page, by its path from the root. */
const pages = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'examples/README.md',
  'models/README.md',
  'models/training/README.md',
].concat(
  (readdirSync(join(root, 'docs'), { recursive: true }) as string[])
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
);

test('docs/api is generated from the docstrings', () => {
  compile();
  execFileSync(process.execPath, [join(root, 'scripts', 'document-api.mjs'), '--check']);
});

test('links between pages lead to files and headings that exist', () => {
  assert.ok(pages.flatMap(linksOf).length > 100);
  const broken = pages.flatMap((page) =>
    linksOf(page).filter((link) => {
      const [path = '', heading] = link.split('#');
      const target = path === '' ? page : join(dirname(page), path);
      if (!existsSync(join(root, target))) return true;
      return heading !== undefined && !headingsOf(target).includes(heading);
    }),
  );
  assert.deepEqual(broken, []);
});

test('examples in JavaScript are JavaScript to this Node', () => {
  const all = pages.flatMap(examples);
  assert.ok(all.length > 10);
  // Imports are all that a function cannot hold.
  for (const code of all) new Script(`async () => {\n${code.replace(/^import .*$/gm, '')}\n}`);
});

test('the example of the README generates an image', () => {
  const small = { "'v1-5-pruned-emaonly.safetensors'": JSON.stringify(EMBEDDED_MODEL), '512,': '64,', '25,': '2,' };
  const library = `'${moduleUrl('lib/index.ts')}'`;
  let [code = ''] = examples('README.md');
  for (const [from, to] of Object.entries({ ...small, "'node-diffusion'": library })) code = code.replaceAll(from, to);
  const cwd = temporaryFolder();
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd, encoding: 'utf8' });
  assert.equal(printed, '1/2\n2/2\n');
  assert.deepEqual(readdirSync(cwd), ['lighthouse.png']);
});

/** The links of a page that stay in the repository. */
function linksOf(page: string): string[] {
  const links = [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link as string);
  return links.filter((link) => !link.startsWith('https:'));
}

/** The headings of a page as GitHub names them in links. */
function headingsOf(page: string): string[] {
  return [...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    (heading as string)
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

/** A page without its code blocks. */
function textOf(page: string): string {
  return readFileSync(join(root, page), 'utf8').replace(/^```.*?^```/gms, '');
}
