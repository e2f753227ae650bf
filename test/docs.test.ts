// The documentation says what the code says.

import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

test('docs/api.md is made from the docstrings', () => {
  execFileSync(process.execPath, [
    fileURLToPath(new URL('../../scripts/document-api.mjs', import.meta.url)),
    '--check',
  ]);
});
