// `diffuse upscale`: its words, and a result that the format of its name cannot hold.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PNG } from 'pngjs';
import sharp from 'sharp';
import { tinyCompactNet, writeUpscaler } from '../support/tiny-upscalers.ts';
import { diffuse } from './command.ts';

const model = writeUpscaler(tinyCompactNet({ scale: 4 }));
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-upscale-'));
  for (const [name, width] of [
    ['small', 6],
    ['wide', 4200],
  ] as const) {
    await writeFile(join(folder, `${name}.png`), PNG.sync.write(new PNG({ width, height: 4 })));
  }
});
after(() => rm(folder, { recursive: true }));

test('the image may stand behind the command or be given with -i', async () => {
  const [behind, given] = await Promise.all([
    diffuse(['upscale', 'small.png', '--upscale-model', model, '-t', '1', '-o', '-'], folder),
    diffuse(['upscale', '-i', 'small.png', '--upscale-model', model, '-t', '1', '-o', '-'], folder),
  ]);
  assert.deepEqual([behind.code, behind.stderr], [0, '']);
  assert.equal(PNG.sync.read(behind.stdout).width, 24);
  assert.deepEqual(given, behind);
});

test('missing and superfluous flags are reported together', async () => {
  const [none, both] = await Promise.all([
    diffuse(['upscale', '--quality', '300', '-o', 'a.jpg'], folder),
    diffuse(['upscale', 'small.png', '-i', 'small.png', '--upscale-model', model], folder),
  ]);
  assert.deepEqual([none.code, both.code], [2, 2]);
  for (const part of [/an image after diffuse upscale, or --init-img/, /Expected --upscale-model/, /for --quality/]) {
    assert.match(none.stderr, part);
  }
  assert.match(both.stderr, /one image but received --init-img, too/);
});

test('a result that is too wide for WebP is not lost', async () => {
  const cwd = await mkdtemp(join(folder, 'run-'));
  const args = ['upscale', '../wide.png', '--upscale-model', model, '-t', '1', '-o', 'a.webp', '--json'];
  const { code, stdout, stderr } = await diffuse(args, cwd);
  assert.equal(code, 0, stderr);
  const { files, warnings } = JSON.parse(stdout.toString());
  assert.deepEqual([files, await readdir(cwd)], [['a.webp.png'], ['a.webp.png']]);
  assert.match(warnings[0], /Cannot write 16800 x 16 pixels as WebP: .* It was written as 'a\.webp\.png'/);
  assert.equal(stderr, `warning: ${warnings[0]}\n`);
  assert.equal((await sharp(join(cwd, 'a.webp.png')).metadata()).width, 16_800);
});
