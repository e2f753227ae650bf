// The public types as programs see them, whatever their resolution of modules, with declarations of libraries checked too.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { compile, root } from './support/places.ts';

compile();

/** What the compiler says of these files. */
function problems(...args: readonly string[]): string {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const common = ['--ignoreConfig', '--noEmit', '--target', 'es2022', '--types', 'node', '--skipLibCheck', 'false'];
  const { stdout, stderr } = spawnSync(process.execPath, [tsc, ...common, ...args], { cwd: root, encoding: 'utf8' });
  return stdout + stderr;
}

for (const [module, resolution] of [
  ['node16', 'node16'],
  ['nodenext', 'nodenext'],
  ['preserve', 'bundler'],
] as const) {
  test(`a program compiles, and misuse does not, with the module resolution ${resolution}`, () => {
    const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess'];
    assert.equal(
      problems('--module', module, '--moduleResolution', resolution, ...strict, 'test/types/program.ts'),
      '',
    );
  });
}

test('the examples fit the types', () => {
  const files = ['http-server', 'own-sampler', 'worker-thread'].map((name) => `examples/${name}.js`);
  assert.equal(problems('--module', 'nodenext', '--allowJs', '--checkJs', '--strict', 'false', ...files), '');
});
