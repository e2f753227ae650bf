// Bad input through the command line: exit code 1 or 2, one readable message, no stack trace, no file left behind.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BAD_MODELS, nanModel, soundModel } from '../support/bad-models.ts';
import { diffuse } from './command.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-cli-'));
});
after(() => rm(folder, { recursive: true }));

const SMALL = ['-W', '64', '-H', '64', '--steps', '1', '-t', '1'];

type Row = readonly [what: string, args: () => readonly string[], exitCode: 1 | 2, message: RegExp];
const SPECIAL_FILES: readonly Row[] = [
  ['an output that is a pipe or socket', () => ['-p', 'x', '-o', '/dev/stdout'], 1, /is a (FIFO|socket)\. .* -o -/],
  ['an image that is a device', () => ['-p', 'x', '-i', '/dev/zero'], 1, /'\/dev\/zero': it is a device/],
  ['the metadata of a device', () => ['metadata', '/dev/zero'], 1, /'\/dev\/zero': it is a device/],
  [
    'a model that is a device',
    () => ['-p', 'x', '-m', '/dev/zero'],
    1,
    /'\/dev\/zero': is not a regular file but a device/,
  ],
];
const rows: readonly Row[] = [
  ...BAD_MODELS.map(
    ({ name, write, message }): Row => [
      `a model file with ${name}`,
      () => ['-m', write(), '-p', 'x', ...SMALL],
      1,
      message,
    ],
  ),
  ['NaN weights', () => ['-m', nanModel(), '-p', 'x', ...SMALL], 1, /NaN or infinity/],
  ['inspecting a missing file', () => ['inspect', '/no/such/file'], 1, /no such file/],
  ['the metadata of a missing image', () => ['metadata', '/no/such.png'], 1, /\/no\/such\.png/],
  ['the metadata of a model', () => ['metadata', soundModel()], 1, /PNG, JPEG or WebP/],
  [
    'an output folder that does not exist',
    () => ['-p', 'x', '-o', '/no/such/folder/a.png'],
    1,
    /folder '\/no\/such\/folder' does not exist/,
  ],
  ['an output that is a folder', () => ['-p', 'x', '-o', tmpdir()], 1, /is a folder/],
  ...(process.platform === 'win32' ? [] : SPECIAL_FILES),
  ['an output without a name', () => ['-p', 'x', '-o', ''], 1, /the path is ''/],
  ['an output that names a folder', () => ['-p', 'x', '-o', 'no/'], 1, /the folder 'no\/' does not exist/],
  ['a preview for standard output', () => ['-p', 'x', '--preview-path', '-'], 2, /a file for --preview-path/],
  ['an image format that is not written', () => ['-p', 'x', '-o', 'a.gif'], 2, /\.png, \.jpg or \.webp but 'a\.gif'/],
  ['a preview of such a format', () => ['-p', 'x', '--preview-path', 'a.tiff'], 2, /'a\.tiff' ends in \.tiff/],
  [
    'a quality for PNG',
    () => ['-p', 'x', '-o', 'a.png', '--quality', '50'],
    2,
    /\.jpg or \.webp for -o with --quality/,
  ],
  [
    'a quality of 0',
    () => ['-p', 'x', '-o', 'a.jpg', '--quality', '0'],
    2,
    /from 1 to 100 for --quality but received 0/,
  ],
  ['an unknown kind of progress', () => ['-p', 'x', '--progress', 'dots'], 2, /bar, json, none for --progress/],
  ['a preview folder that does not exist', () => ['-p', 'x', '--preview-path', '/no/such/a.png'], 1, /'\/no\/such'/],
  ['no prompt', () => ['--steps', '1'], 2, /a string for --prompt but received none/],
  ['a prompt without its quotes', () => ['-p', 'a', 'red', 'apple'], 2, /received 'red'/],
  ['a prompt of 100 KB', () => ['-p', 'x'.repeat(100_000)], 2, /at most 65536 characters for --prompt/],
  ['a flag without its value', () => ['-p'], 2, /a value for --prompt/],
  ['a misspelled flag', () => ['-p', 'x', '--stepz', '3'], 2, /--stepz\. Did you mean --steps\?/],
  ['an unknown letter', () => ['-p', 'x', '-q'], 2, /Unknown flag -q/],
  ['the beginning of a flag', () => ['-p', 'x', '--cfg', '3'], 2, /--cfg\. Did you mean --cfg-scale\?/],
  ['a letter and its value in one', () => ['-p', 'x', '-W64'], 2, /-W64\. Write -W 64/],
  ['a flag that every object has', () => ['-p', 'x', '--constructor', '3'], 2, /Unknown flag --constructor\./],
  ['a flag of the parser', () => ['-p', 'x', '--$0=3'], 2, /Unknown flag --\$0/],
  ['a flag twice', () => ['-p', 'x', '--steps', '3', '--steps', '4'], 2, /--steps once but received it 2 times/],
  ['a switch with a value', () => ['-p', 'x', '--json=maybe'], 2, /no value for the switch --json/],
  ['a misspelled command', () => ['inspct', 'x'], 2, /Did you mean diffuse inspect\?/],
  ['a command without its file', () => ['inspect'], 2, /a file after diffuse inspect but received none/],
  [
    'a command with two files',
    () => ['metadata', 'a', 'b'],
    2,
    /one image after diffuse metadata but received 'b' too/,
  ],
  [
    'a word behind a command that takes none',
    () => ['devices', 'extra'],
    2,
    /nothing after diffuse devices but received 'extra'/,
  ],
  ['a word behind completion', () => ['completion', 'zsh'], 2, /nothing after diffuse completion but received 'zsh'/],
  ['a dash for an image', () => ['metadata', '-'], 2, /path of an image after diffuse metadata but received '-'/],
  ['an empty word', () => ['-p', 'x', ''], 2, /^diffuse: Expected flags but received ''/],
  ['a flag of another command', () => ['devices', '--steps', '3'], 2, /received --steps/],
  ['a width of 0', () => ['-p', 'x', '-W', '0'], 2, /for --width but received 0/],
  [
    'a width of 100',
    () => ['-m', soundModel(), '-p', 'x', '-W', '100'],
    2,
    /multiple of 8 for --width but received 100\. The nearest are 96 and 104/,
  ],
  ['a width of 1e9', () => ['-p', 'x', '-W', '1e9'], 2, /for --width but received 1000000000/],
  ['a width that is NaN', () => ['-p', 'x', '-W', 'NaN'], 2, /for --width but received 'NaN'/],
  ['a height with a unit', () => ['-p', 'x', '-H', '64px'], 2, /for --height but received '64px'/],
  ['no steps', () => ['-p', 'x', '--steps', '0'], 2, /from 1 to 1000 for --steps but received 0/],
  ['empty steps', () => ['-p', 'x', '--steps', ''], 2, /for --steps but received ''/],
  ['a guidance scale of nan', () => ['-p', 'x', '--cfg-scale', 'nan'], 2, /for --cfg-scale but received 'nan'/],
  [
    'an endless guidance scale',
    () => ['-p', 'x', '--cfg-scale', 'Infinity'],
    2,
    /for --cfg-scale but received Infinity/,
  ],
  [
    'a misspelled sampler',
    () => ['-p', 'x', '--sampling-method', 'eulr'],
    2,
    /one of euler, .*for --sampling-method.*Did you mean 'euler'\?/,
  ],
  ['a misspelled schedule', () => ['-p', 'x', '--scheduler', 'karas'], 2, /for --scheduler.*Did you mean 'karras'\?/],
  ['rising sigmas', () => ['-p', 'x', '--sigmas', '1,2,0'], 2, /for --sigmas/],
  ['sigmas that are words', () => ['-p', 'x', '--sigmas', 'a,b'], 2, /for --sigmas/],
  ['a schedule and sigmas', () => ['-p', 'x', '--sigmas', '1,0', '--scheduler', 'karras'], 2, /--sigmas.*--scheduler/],
  [
    'a clip skip beyond the layers',
    () => ['-m', soundModel(), '-p', 'x', '--clip-skip', '99'],
    2,
    /from 1 to 2 for --clip-skip but received 99/,
  ],
  ['an unknown generator', () => ['-p', 'x', '--rng', 'cudo'], 2, /for --rng.*Did you mean 'cuda'\?/],
  ['an unknown prediction', () => ['-p', 'x', '--prediction', 'x0'], 2, /epsilon, v for --prediction/],
  [
    'an unknown device',
    () => ['-p', 'x', '--device', 'cpx'],
    2,
    /for --device but received 'cpx'\. Did you mean 'cpu'\?/,
  ],
  ['no threads', () => ['-p', 'x', '-t', '0'], 2, /for --threads/],
  ['seeds that count beyond 64 bits', () => ['-p', 'x', '-s', `${2n ** 64n - 2n}`, '-b', '3'], 2, /for --seed/],
  ['no images', () => ['-p', 'x', '-b', '0'], 2, /for --batch-count/],
  ['two images for standard output', () => ['-p', 'x', '-o', '-', '-b', '2'], 2, /one image for standard output/],
  ['JSON and an image for standard output', () => ['-p', 'x', '-o', '-', '--json'], 2, /either -o - or --json/],
];

// Each row costs little but the start of a process: let a few start together.
test('every row ends with its exit code, one message and no file', { concurrency: 4 }, async (t) => {
  await Promise.all(
    rows.map(([what, args, exitCode, message]) =>
      t.test(what, async () => {
        const cwd = await mkdtemp(join(folder, 'row-'));
        const { code, stdout, stderr } = await diffuse(args(), cwd);
        assert.match(stderr, message);
        assert.equal(code, exitCode);
        if (!args().includes('--json')) assert.equal(stdout.length, 0);
        assert.match(stderr, /^diffuse: /);
        assert.doesNotMatch(stderr, /^\s+at |unexpected/m, 'no stack trace');
        assert.deepEqual(await readdir(cwd), []);
      }),
    ),
  );
});
