// Which networks stay in memory, from the command line.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/tiny-model.ts';
import { diffuse } from './command.ts';

test('images are the same whatever stays in memory, and what is no policy is refused before a model is loaded', async () => {
  const folder = temporaryFolder();
  const files = [];
  for (const residency of ['keep', 'unload', '1000000']) {
    const output = join(folder, `${residency}.png`);
    const { code, stderr } = await diffuse([
      ...['-p', 'an apple', '--steps', '1', '--seed', '1', '--residency', residency, '-o', output],
    ]);
    assert.equal(code, 0, String(stderr));
    files.push(readFileSync(output, 'base64'));
  }
  assert.equal(new Set(files).size, 1);
  for (const residency of ['always', '-1', '1.5', 'NaN']) {
    const { code, stderr } = await diffuse([
      '-p',
      'an apple',
      `--residency=${residency}`,
      '-o',
      join(folder, 'no.png'),
    ]);
    assert.equal(code, 2, residency);
    assert.match(String(stderr), /--residency/);
  }
});
