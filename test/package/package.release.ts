// The packages as they are published: without scripts, with a binary for this platform, and with the sources to build one.

import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { root } from '../support/places.ts';
import { generate, install, pathWithoutCompiler, run } from './installation.ts';

/** No package may need its scripts, and none but those given is there to install. */
const OPTIONS = ['--ignore-scripts', '--omit=optional'];

describe('the published packages', () => {
  let main: string;
  let platform: string;

  before(() => {
    const folder = join(root, 'release');
    assert.ok(existsSync(folder), 'There are no packages: npm run release');
    const tarballs = readdirSync(folder);
    const find = (pattern: RegExp) => join(folder, tarballs.find((name) => pattern.test(name)) as string);
    main = find(/^node-diffusion-\d/);
    platform = find(new RegExp(`^node-diffusion-${process.platform}-${process.arch}-\\d`));
  });

  it('generate an image without scripts and without a compiler on PATH', () => {
    const env = { PATH: pathWithoutCompiler() };
    const { project } = install([main, platform], env, OPTIONS);
    generate(project, env);
  });

  it('say what to install if the one for this platform is not there', () => {
    const { project } = install([main], {}, OPTIONS);
    assert.throws(() => generate(project), /run "npm install @node-diffusion\/[\w-]+@[\d.]+", which adds the package/);
  });

  it('build an addon from the source that they carry, without fetching any', () => {
    const { project } = install([main], {}, OPTIONS);
    assert.doesNotMatch(run('npx', ['diffuse', 'build'], project), /Fetching/);
    assert.match(
      readdirSync(join(project, 'node_modules/node-diffusion/build/Release')).join(),
      /node-diffusion\.node/,
    );
    generate(project);
  });
});
