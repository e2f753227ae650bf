// The modules of `native` include only modules below them, in the order of docs/how-it-works.md.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { test } from 'node:test';
import { root } from '../support/places.ts';

const native = join(root, 'native');
const text = (path: string, folder = root) => readFileSync(join(folder, path), 'utf8');

/** The highest first. */
const modules = [...section('## Native modules').matchAll(/^\| `([a-z]+)` \|/gm)].map(([, name]) => name as string);

function section(title: string): string {
  const [, body] = text('docs/how-it-works.md').split(`${title}\n`);
  return body?.split(/^## /m)[0] ?? '';
}

interface Include {
  readonly file: string;
  readonly module: string;
  /** The module of the included file; undefined if that is not ours. */
  readonly other: string | undefined;
}

function includes(): Include[] {
  const files = readdirSync(native, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => ['.cc', '.h', '.inl'].includes(extname(file)) && !file.startsWith('test/') && file.includes('/'));
  return files.flatMap((file) =>
    [...text(file, native).matchAll(/^#include "([^"/]+)\//gm)].map(([, other = '']) => {
      return { file, module: file.slice(0, file.indexOf('/')), other: modules.includes(other) ? other : undefined };
    }),
  );
}

test('the documentation lists the modules of native', () => {
  const folders = readdirSync(native, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const expected = folders.map(({ name }) => name).filter((name) => name !== 'test');
  assert.deepEqual([...modules].sort(), expected.sort());
});

test('a module of native includes itself and modules below it', () => {
  const all = includes();
  assert.ok(all.length > 200, `${all.length} includes`);
  const upwards = all.filter(({ module, other }) => other && modules.indexOf(other) < modules.indexOf(module));
  assert.deepEqual(
    upwards.map(({ file, other }) => `${file} includes ${other}`),
    [],
  );
});

test('files that all modules include do not include any module', () => {
  const shared = readdirSync(native).filter((file) => ['.cc', '.h'].includes(extname(file)));
  assert.ok(shared.length > 0);
  for (const file of shared) assert.doesNotMatch(text(file, native), /^#include "[a-z]+\//m, file);
});
