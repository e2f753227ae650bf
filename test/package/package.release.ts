// The package as it is published: the tarball with its prebuilt binaries, and a build from the source that it carries.

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { root } from '../support/places.ts';
import { generate, install, pack, pathWithoutCompiler, run } from './installation.ts';

/** The path of the binary that an installed package loads. */
function binaryOf(project: string): string {
  const script = "console.log(require('node-gyp-build').resolve('node_modules/node-diffusion'))";
  return run('node', ['-e', script], project).trim();
}

describe('the published package', () => {
  let tarball: string;

  before(() => {
    tarball = pack();
    const files = run('tar', ['-tzf', tarball], root);
    assert.match(files, /prebuilds\/.*\.node$/m, 'There is no prebuilt binary: npm run package:binary');
  });

  it('works with its prebuilt binary where no compiler is on PATH', () => {
    const env = { PATH: pathWithoutCompiler() };
    const { project } = install(tarball, env);
    assert.match(binaryOf(project), /prebuilds/);
    generate(project, env);
  });

  it('builds from the source that it carries, without fetching any', () => {
    const { project, output } = install(tarball, { npm_config_build_from_source: 'true' });
    assert.doesNotMatch(output, /Fetching/);
    assert.match(binaryOf(project), /build.Release/);
    generate(project);
  });
});
