// Runs tests: from their sources where this Node strips types (22.18 and newer), otherwise compiled, in dist/test.
//
//   node scripts/test.mjs [WORD ...]             the *.test.ts files, or those whose path contains one of the words
//   node scripts/test.mjs --name PATTERN ...     of these, the tests whose names match the regular expression
//   node scripts/test.mjs --release [WORD ...]   the *.release.ts files: slow, and after `npm run package:binary`
//
// A list of files rather than a pattern, because Node 20 takes none.

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { name: { type: 'string' }, release: { type: 'boolean' } },
});
const ending = values.release ? '.release.ts' : '.test.ts';
const compiles = !process.features.typescript;

const files = readdirSync(join(root, 'test'), { recursive: true })
  .filter((file) => file.endsWith(ending))
  .filter((file) => positionals.length === 0 || positionals.some((word) => file.includes(word)))
  .sort()
  .map((file) => (compiles ? join('dist', 'test', file.replace(/\.ts$/, '.js')) : join('test', file)));
if (files.length === 0) {
  console.error(`No test matches ${positionals.join(' ')}.`);
  process.exit(1);
}
// Without flags from an outer test run, whose children would report to it.
const { NODE_TEST_CONTEXT: _, ...env } = process.env;
// Node 22 warns on standard error of each process, which tests read.
if (!compiles) env.NODE_OPTIONS = `${env.NODE_OPTIONS ?? ''} --disable-warning=ExperimentalWarning`;

const node = (...args) => spawnSync(process.execPath, args, { cwd: root, env, stdio: 'inherit' }).status ?? 1;
const name = values.name === undefined ? [] : ['--test-name-pattern', values.name];
process.exitCode =
  (compiles && node(join('node_modules', 'typescript', 'bin', 'tsc'), '-p', '.')) || node('--test', ...name, ...files);
