// Reproducing images: with --from, and with the command line that `diffuse metadata` prints.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { readMetadata } from '../../lib/index.ts';
import { diffuse, main } from './command.ts';

let folder: string;
let image: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-again-'));
  image = join(folder, 'first.png');
  const flags = ['-n=-blue sky', '--steps', '3', '-s', '5', '--sampling-method', 'DPM++ 2M Karras', '-t', '1'];
  const more = [
    '--hires',
    '--hires-scale',
    '1.5',
    '--circularx',
    '--guidance-interval',
    '0,0.9',
    '-W',
    '64',
    '-H',
    '48',
  ];
  const { code, stderr } = await diffuse(['-p', "it's a (red:1.2) apple", ...flags, ...more, '-o', image]);
  assert.deepEqual([code, stderr], [0, '']);
});
after(() => rm(folder, { recursive: true }));

test('--from reproduces an image, and other flags override its options', async () => {
  const [same, other] = [join(folder, 'same.png'), join(folder, 'other.png')];
  const reproduced = await diffuse(['--from', image, '-t', '1', '-o', same]);
  assert.deepEqual([reproduced.code, reproduced.stderr], [0, '']);
  assert.deepEqual(await readFile(same), await readFile(image));
  await diffuse(['--from', image, '-t', '1', '-p', 'a lemon', '--sigmas', '14,3,0', '-s', '6', '-o', other]);
  const metadata = await readMetadata(other);
  assert.deepEqual([metadata.prompt, metadata.negativePrompt, metadata.seed], ['a lemon', '-blue sky', 6]);
  assert.deepEqual([metadata.steps, metadata.scheduler, metadata.sampler], [2, [14, 3, 0], 'dpm++2m']);
});

test('the command that metadata prints reproduces the image', { skip: process.platform === 'win32' }, async () => {
  const { code, stdout, stderr } = await diffuse(['metadata', image]);
  assert.deepEqual([code, stderr], [0, '']);
  const [command = ''] = stdout.toString().trimEnd().split('\n').slice(-1);
  assert.match(command, /^diffuse -p /);
  const again = join(folder, 'again.png');
  await promisify(execFile)('sh', [
    '-c',
    `"$0" "$1" ${command.slice('diffuse '.length)} -t 1 -o "$2"`,
    process.execPath,
    main,
    again,
  ]);
  assert.deepEqual(await readFile(again), await readFile(image));
});

test('what cannot be reproduced is reported', async () => {
  const output = join(folder, 'warned.png');
  const { code, stderr } = await diffuse(['--from', image, '-i', image, '-t', '1', '-o', output]);
  assert.deepEqual([code, stderr], [0, 'warning: The image was generated in two passes, which img2img does not do\n']);
  const second = await diffuse(['--from', output, '-t', '1', '-o', output]);
  assert.deepEqual([second.code, second.stderr.split('\n').length], [0, 2]);
  assert.match(second.stderr, /^warning: The image was generated from another image/);
});

test('an image that says nothing, and one that is missing', async () => {
  const output = join(folder, 'no.png');
  const [none, missing] = await Promise.all([
    diffuse(['--from', main, '-o', output]),
    diffuse(['--from', join(folder, 'none.png'), '-o', output]),
  ]);
  assert.deepEqual([none.code, missing.code], [1, 1]);
  assert.match(none.stderr, /PNG, JPEG or WebP/);
  assert.match(missing.stderr, /none\.png/);
});
