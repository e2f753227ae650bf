// The rooms of `native` include each other downwards only, in the order that docs/how-it-works.md lists.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { test } from 'node:test';
import { root } from '../support/places.ts';

const native = join(root, 'native');
const text = (path: string, folder = root) => readFileSync(join(folder, path), 'utf8');

/** The highest first. */
const rooms = [...section('## Rooms of the native side').matchAll(/^\| `([a-z]+)` \|/gm)].map(
  ([, room]) => room as string,
);

function section(title: string): string {
  const [, body] = text('docs/how-it-works.md').split(`${title}\n`);
  return body?.split(/^## /m)[0] ?? '';
}

interface Include {
  readonly file: string;
  readonly room: string;
  /** Of the included file; undefined where that is none of ours. */
  readonly other: string | undefined;
}

function includes(): Include[] {
  const files = readdirSync(native, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => ['.cc', '.h', '.inl'].includes(extname(file)) && !file.startsWith('test/') && file.includes('/'));
  return files.flatMap((file) =>
    [...text(file, native).matchAll(/^#include "([^"/]+)\//gm)].map(([, other = '']) => {
      return { file, room: file.slice(0, file.indexOf('/')), other: rooms.includes(other) ? other : undefined };
    }),
  );
}

test('the documentation lists the rooms of native', () => {
  const folders = readdirSync(native, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const expected = folders.map(({ name }) => name).filter((name) => name !== 'test');
  assert.deepEqual([...rooms].sort(), expected.sort());
});

test('a room of native includes itself and rooms below it', () => {
  const all = includes();
  assert.ok(all.length > 200, `${all.length} includes`);
  const upwards = all.filter(({ room, other }) => other && rooms.indexOf(other) < rooms.indexOf(room));
  assert.deepEqual(
    upwards.map(({ file, other }) => `${file} includes ${other}`),
    [],
  );
});

test('what all rooms include, beside them, includes none', () => {
  const shared = readdirSync(native).filter((file) => ['.cc', '.h'].includes(extname(file)));
  assert.ok(shared.length > 0);
  for (const file of shared) assert.doesNotMatch(text(file, native), /^#include "[a-z]+\//m, file);
});
