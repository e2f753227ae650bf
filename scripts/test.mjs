// Runs tests: from their sources on Node 24.3 and newer, otherwise compiled, in dist/test.
//
//   node scripts/test.mjs [WORD ...]             the *.test.ts files, or those whose path contains one of the words
//   node scripts/test.mjs --name PATTERN ...     of these, the tests whose names match the regular expression
//   node scripts/test.mjs --release [WORD ...]   the *.release.ts files: slow, and after `npm run release`
//   node scripts/test.mjs --vulkan [WORD ...]    the *.vulkan.ts files, see test-vulkan.mjs
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
  options: { name: { type: 'string' }, release: { type: 'boolean' }, vulkan: { type: 'boolean' } },
});
const ending = values.release ? '.release.ts' : values.vulkan ? '.vulkan.ts' : '.test.ts';
// Before, Node warned on standard error that it strips types, or knew no `await using`, which stripping leaves in.
const [major, minor] = process.versions.node.split('.').map(Number);
const compiles = major < 24 || (major === 24 && minor < 3);

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
// Keeps modules without their types: programs that tests start are ready in a third of the time.
if (!compiles) env.NODE_COMPILE_CACHE ??= join(root, 'node_modules', '.cache', 'node');

const node = (...args) => spawnSync(process.execPath, args, { cwd: root, env, stdio: 'inherit' }).status ?? 1;
// Lavapipe compiles shaders on one core.
const concurrency = values.vulkan ? ['--test-concurrency=2'] : [];
const name = values.name === undefined ? [] : ['--test-name-pattern', values.name];
process.exitCode =
  (compiles && node(join('node_modules', 'typescript', 'bin', 'tsc'), '-p', '.')) ||
  node('--test', ...name, ...concurrency, ...files);
