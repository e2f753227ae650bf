// How vendor/fetch.mjs treats its pin: what is there is left alone, what does not match is refused.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { root, run, temporaryFolder } from './installation.ts';

/** A folder with the fetch script and its pin, changed by `edit`. */
function copyVendor(edit: (pin: string) => string = (pin) => pin): string {
  const folder = temporaryFolder();
  cpSync(join(root, 'vendor', 'fetch.mjs'), join(folder, 'fetch.mjs'));
  writeFileSync(join(folder, 'ggml.json'), edit(readFileSync(join(root, 'vendor', 'ggml.json'), 'utf8')));
  return folder;
}

describe('vendor/fetch.mjs', () => {
  it('needs no npm, git or tar where the pinned source is there', () => {
    const folder = copyVendor();
    mkdirSync(join(folder, 'ggml'));
    cpSync(join(folder, 'ggml.json'), join(folder, 'ggml', 'pin.json'));
    assert.equal(run(process.execPath, ['fetch.mjs'], folder, { PATH: folder }), '');
  });

  it('refuses a package of another hash, and leaves nothing behind', () => {
    const folder = copyVendor((pin) => pin.replace(/sha512-./, 'sha512-A'));
    assert.throws(() => run(process.execPath, ['fetch.mjs'], folder), /not the package that vendor\/ggml.json pins/);
    assert.deepEqual(readdirSync(folder).sort(), ['fetch.mjs', 'ggml.json']);
  });

  it('says what to check where the package cannot be had, and keeps the source of before', () => {
    const folder = copyVendor((pin) => pin.replace(/"version": "[^"]*"/, '"version": "0.0.0-none"'));
    mkdirSync(join(folder, 'ggml'));
    writeFileSync(join(folder, 'ggml', 'kept'), '');
    assert.throws(
      () => run(process.execPath, ['fetch.mjs'], folder),
      /npm could not download .*0\.0\.0-none\. Check the network/,
    );
    assert.deepEqual(readdirSync(folder).sort(), ['fetch.mjs', 'ggml', 'ggml.json']);
    assert.deepEqual(readdirSync(join(folder, 'ggml')), ['kept']);
  });
});
