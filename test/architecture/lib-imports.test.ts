// The rooms of `lib` import each other downwards only, in the order that docs/how-it-works.md lists, and no files import each other in a
// circle. Imports of types count: who needs the type of something knows it.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const root = new URL('./', import.meta.resolve('node-diffusion/package.json'));
const lib = new URL('lib/', root);

/** The highest first. */
const [, section = ''] = readFileSync(new URL('docs/how-it-works.md', root), 'utf8').split(
  '## Rooms of the TypeScript side\n',
);
const rooms = [...(section.split(/^## /m)[0] ?? '').matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, room]) => room as string);

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

function roomOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : '';
}

test('the documentation lists the rooms of lib', () => {
  const folders = readdirSync(lib, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual([...rooms].sort(), folders.map(({ name }) => name).sort());
});

test('a file of lib imports its own room and rooms below it', () => {
  const all = [...imports].flatMap(([file, others]) => others.map((other) => ({ file, other })));
  assert.ok(all.length > 400, `${all.length} imports`);
  const upwards = all.filter(
    ({ file, other }) => roomOf(file) && rooms.indexOf(roomOf(other)) < rooms.indexOf(roomOf(file)),
  );
  assert.deepEqual(
    upwards.map(({ file, other }) => `${file} imports ${other}`),
    [],
  );
});

test('no files of lib import each other in a circle', () => {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) assert.fail(`${[...path.slice(path.indexOf(file)), file].join(' -> ')}`);
    if (done.has(file)) return;
    for (const other of imports.get(file) ?? assert.fail(`${path.at(-1)} imports ${file}, which is none of lib`)) {
      visit(other, [...path, file]);
    }
    done.add(file);
  };
  for (const file of files) visit(file, []);
});
