// How vendor/fetch.mjs treats its pin and its patches: what is there is left alone, what does not match is refused.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../support/places.ts';
import { run, temporaryFolder } from './installation.ts';

/** A folder with the fetch script and its pin, changed by `edit`. */
function copyVendor(edit: (pin: string) => string = (pin) => pin): string {
  const folder = temporaryFolder();
  cpSync(join(root, 'vendor', 'fetch.mjs'), join(folder, 'fetch.mjs'));
  cpSync(join(root, 'vendor', 'patches'), join(folder, 'patches'), { recursive: true });
  writeFileSync(join(folder, 'ggml.json'), edit(readFileSync(join(root, 'vendor', 'ggml.json'), 'utf8')));
  return folder;
}

/** The same with the source that the patches change. */
function copySource(): string {
  const folder = copyVendor();
  for (const path of ['include', 'src/ggml-cpu', 'src/ggml-vulkan', 'patches', 'pin.json']) {
    cpSync(join(root, 'vendor', 'ggml', path), join(folder, 'ggml', path), { recursive: true });
  }
  for (const name of ['ggml.c', 'ggml-alloc.c', 'ggml-backend.cpp', 'CMakeLists.txt']) {
    cpSync(join(root, 'vendor', 'ggml', 'src', name), join(folder, 'ggml', 'src', name));
  }
  return folder;
}

describe('vendor/fetch.mjs', () => {
  it('needs no npm, git or tar where the pinned source is there', () => {
    const folder = copyVendor();
    mkdirSync(join(folder, 'ggml'));
    cpSync(join(folder, 'ggml.json'), join(folder, 'ggml', 'pin.json'));
    cpSync(join(folder, 'patches'), join(folder, 'ggml', 'patches'), { recursive: true });
    assert.equal(run(process.execPath, ['fetch.mjs'], folder, { PATH: folder }), '');
  });

  it('goes from one set of patches to another without npm', () => {
    const folder = copySource();
    const source = () => readFileSync(join(folder, 'ggml', 'src', 'ggml.c'), 'utf8');
    const patched = source();
    const fetch = () =>
      run(process.execPath, ['fetch.mjs'], folder, { npm_config_offline: 'true', npm_config_cache: folder });
    rmSync(join(folder, 'patches', 'context.patch'));
    assert.equal(fetch(), '');
    assert.notEqual(source(), patched);
    cpSync(join(root, 'vendor', 'patches'), join(folder, 'patches'), { recursive: true });
    assert.equal(fetch(), '');
    assert.equal(source(), patched);
  });

  it('refuses a patch that does not fit, and keeps the source of before', () => {
    const folder = copySource();
    const patch = readFileSync(join(folder, 'patches', 'context.patch'), 'utf8');
    writeFileSync(join(folder, 'patches', 'context.patch'), patch.replace('-    GGML_ASSERT(', '-    GGML_DENY('));
    assert.throws(() => run(process.execPath, ['fetch.mjs'], folder), /context\.patch does not fit the source of ggml/);
    assert.deepEqual(readdirSync(folder).sort(), ['fetch.mjs', 'ggml', 'ggml.json', 'patches']);
    assert.ok(readFileSync(join(folder, 'ggml', 'patches', 'context.patch'), 'utf8') === patch);
  });

  it('refuses a package of another hash, and leaves nothing behind', () => {
    const folder = copyVendor((pin) => pin.replace(/sha512-./, 'sha512-A'));
    assert.throws(() => run(process.execPath, ['fetch.mjs'], folder), /not the package that vendor\/ggml.json pins/);
    assert.deepEqual(readdirSync(folder).sort(), ['fetch.mjs', 'ggml.json', 'patches']);
  });

  it('says what to check where the package cannot be had, and keeps the source of before', () => {
    const folder = copyVendor((pin) => pin.replace(/"version": "[^"]*"/, '"version": "0.0.0-none"'));
    mkdirSync(join(folder, 'ggml'));
    writeFileSync(join(folder, 'ggml', 'kept'), '');
    assert.throws(
      () => run(process.execPath, ['fetch.mjs'], folder),
      /npm could not download .*0\.0\.0-none\. Check the network/,
    );
    assert.deepEqual(readdirSync(folder).sort(), ['fetch.mjs', 'ggml', 'ggml.json', 'patches']);
    assert.deepEqual(readdirSync(join(folder, 'ggml')), ['kept']);
  });

  it('unpacks the archive of a published package, without npm', () => {
    const folder = copySource();
    run('tar', ['-czf', 'ggml.tar.gz', 'ggml'], folder);
    const before = readFileSync(join(folder, 'ggml', 'src', 'ggml.c'), 'utf8');
    rmSync(join(folder, 'ggml'), { recursive: true });
    const offline = { npm_config_offline: 'true', npm_config_cache: folder };
    assert.equal(run(process.execPath, ['fetch.mjs'], folder, offline), '');
    assert.equal(readFileSync(join(folder, 'ggml', 'src', 'ggml.c'), 'utf8'), before);
    assert.deepEqual(readdirSync(folder).sort(), ['fetch.mjs', 'ggml', 'ggml.json', 'ggml.tar.gz', 'patches']);
  });
});
