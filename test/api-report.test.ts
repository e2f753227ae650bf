// No export changes by accident.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { compile, root } from './support/places.ts';

test('exports and the native contract are those of the API report', () => {
  compile();
  const script = join(root, 'scripts', 'report-api.mjs');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
  assert.equal(status, 0, `${stdout}${stderr}`);
});
