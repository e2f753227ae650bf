// The modules of `lib` import only modules below them, in the order of docs/how-it-works.md, and no files import each
// other in a cycle. Imports of types count too.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const root = new URL('./', import.meta.resolve('node-diffusion/package.json'));
const lib = new URL('lib/', root);

/** The highest first. */
const [, section = ''] = readFileSync(new URL('docs/how-it-works.md', root), 'utf8').split('## TypeScript modules\n');
const modules = [...(section.split(/^## /m)[0] ?? '').matchAll(/^\| `([a-z-]+)` \|/gm)].map(
  ([, name]) => name as string,
);

const files = readdirSync(lib, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'));
const imports = new Map(files.map((file) => [file, importsOf(file)]));

function importsOf(file: string): string[] {
  const base = new URL(file, lib);
  return [...readFileSync(base, 'utf8').matchAll(/\b(?:from|import)\b\s*\(?\s*'(\.[^']+)'/g)].map(([, path = '']) =>
    new URL(path, base).href.slice(lib.href.length),
  );
}

function moduleOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : '';
}

test('the documentation lists the modules of lib', () => {
  const folders = readdirSync(lib, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual([...modules].sort(), folders.map(({ name }) => name).sort());
});

test('a file of lib imports its own module and modules below it', () => {
  const all = [...imports].flatMap(([file, others]) => others.map((other) => ({ file, other })));
  assert.ok(all.length > 400, `${all.length} imports`);
  const upwards = all.filter(
    ({ file, other }) => moduleOf(file) && modules.indexOf(moduleOf(other)) < modules.indexOf(moduleOf(file)),
  );
  assert.deepEqual(
    upwards.map(({ file, other }) => `${file} imports ${other}`),
    [],
  );
});

test('no files of lib import each other in a cycle', () => {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) assert.fail(`${[...path.slice(path.indexOf(file)), file].join(' -> ')}`);
    if (done.has(file)) return;
    for (const other of imports.get(file) ?? assert.fail(`${path.at(-1)} imports ${file}, which is not in lib`)) {
      visit(other, [...path, file]);
    }
    done.add(file);
  };
  for (const file of files) visit(file, []);
});
