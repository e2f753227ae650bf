// The packages in release/, installed by package managers from a registry, without scripts. All of them with PACKAGE_TEST=whole,
// otherwise npm and pnpm.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PNG } from 'pngjs';
import { root } from '../support/places.ts';
import { createProject, MANAGERS, type Project } from './managers.ts';
import { type Registry, startRegistry } from './registry.ts';

const CHOSEN = ['npm', 'pnpm'];

function assertImage(project: Project): void {
  assert.ok(PNG.sync.read(readFileSync(join(project.folder, 'apple.png'))).width > 0);
}

describe('the published packages', () => {
  let registry: Registry;

  before(async () => {
    assert.ok(existsSync(join(root, 'release')), 'There are no packages: npm run release');
    registry = await startRegistry(join(root, 'release'));
  });
  after(() => registry.stop());

  for (const manager of MANAGERS) {
    const skip = process.env.PACKAGE_TEST !== 'whole' && !CHOSEN.includes(manager.name);
    it(`generate an image after an installation by ${manager.name}`, { skip }, () => {
      const project = createProject(manager, registry.url, { 'node-diffusion': '*' });
      project.run('diffuse', '-p', 'a red apple', '-o', 'apple.png');
      assertImage(project);
    });

    const { withoutOptional } = manager;
    if (withoutOptional === undefined) continue;
    it(`are mended by the command in the error where ${manager.name} left the binary out`, { skip }, () => {
      const project = createProject(manager, registry.url, { 'node-diffusion': '*' }, withoutOptional);
      const generate = () => project.run('diffuse', '-p', 'a red apple', '-o', 'apple.png');
      let message = '';
      assert.throws(generate, (error: Error) => {
        message = error.message;
        return true;
      });
      const [, name, rest = ''] = /To fix it: run "(\w+) (.*?)"/.exec(message) ?? [];
      assert.equal(name, manager.name.split(' ')[0], message);
      project.manage(...rest.split(' '));
      generate();
      assertImage(project);
    });
  }
});
