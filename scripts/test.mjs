// Runs the compiled tests of dist/test whose source is still there.
//
//   node scripts/test.mjs [WORD ...]             the *.test.ts files, or those whose path contains one of the words
//   node scripts/test.mjs --release [WORD ...]   the *.release.ts files: slow, and after `npm run prebuild`
//
// A list of files rather than a pattern, because Node 20 takes none.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals } = parseArgs({ allowPositionals: true, options: { release: { type: 'boolean' } } });
const ending = values.release ? '.release.js' : '.test.js';

const files = readdirSync(join(root, 'dist', 'test'), { recursive: true })
  .filter((file) => file.endsWith(ending) && existsSync(join(root, 'test', file.replace(/\.js$/, '.ts'))))
  .filter((file) => positionals.length === 0 || positionals.some((word) => file.includes(word)))
  .sort()
  .map((file) => join('dist', 'test', file));
if (files.length === 0) {
  console.error(`No test matches ${positionals.join(' ') || `*${ending}`}. Compile first: npm run build:ts`);
  process.exit(1);
}
// Without flags from an outer test run, whose children would report to it.
const { NODE_TEST_CONTEXT: _, ...env } = process.env;
const { status } = spawnSync(process.execPath, ['--test', ...files], { cwd: root, env, stdio: 'inherit' });
process.exitCode = status ?? 1;
