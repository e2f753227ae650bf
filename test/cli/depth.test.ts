// `diffuse depth`, and depth in commands that generate images: the same results as the API, and messages that name flags.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PNG } from 'pngjs';
import { estimateDepth, loadModel } from '../../lib/index.ts';
import { tinyDepthModel } from '../support/tiny-depth.ts';
import { diffuse } from './command.ts';

const model = tinyDepthModel(49408);
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-depth-'));
  const image = new PNG({ width: 48, height: 40 });
  image.data.forEach((_, i) => {
    image.data[i] = i % 4 === 3 ? 255 : (i * 5) % 256;
  });
  await writeFile(join(folder, 'image.png'), PNG.sync.write(image));
});
after(() => rm(folder, { recursive: true }));

test('depth writes what the API estimates, to a file or to standard output', async () => {
  const image = join(folder, 'image.png');
  const expected = await (await estimateDepth(image, { model, threads: 1 })).png();
  const piped = await diffuse(['depth', image, '--depth-model', model, '-t', '1', '-o', '-']);
  assert.deepEqual([piped.code, piped.stderr], [0, '']);
  assert.deepEqual(piped.stdout, expected);
  const cwd = await mkdtemp(join(folder, 'run-'));
  const { code, stdout } = await diffuse(['depth', image, `--depth-model=${model}`, '-t', '1', '--json'], cwd);
  assert.equal(code, 0);
  assert.deepEqual(await readFile(join(cwd, 'output.png')), expected);
  const { files, width, height, timings } = JSON.parse(stdout.toString());
  assert.deepEqual([files, width, height], [['output.png'], 48, 40]);
  assert.ok(timings.estimation > 0);
});

test('depth2img estimates depth where none is given', async () => {
  await using opened = await loadModel(model, { threads: 1 });
  const image = join(folder, 'image.png');
  const common = { prompt: 'a red apple', steps: 2, seed: 7, image } as const;
  const flags = ['-m', model, '-p', 'a red apple', '--steps', '2', '-s', '7', '-t', '1', '-i', image, '-o', '-'];
  for (const [more, options] of [
    [[], {}],
    [['--depth', image], { depth: image }],
    [['--depth-model', model], {}],
  ] as const) {
    const expected = await (await opened.depth2img({ ...common, ...options })).images[0]?.png();
    const { code, stdout, stderr } = await diffuse(['depth2img', ...flags, ...more]);
    assert.deepEqual([code, stderr], [0, '']);
    assert.deepEqual(stdout, expected, more.join(' '));
  }
});

const rows: readonly (readonly [what: string, args: readonly string[], exitCode: 1 | 2, message: RegExp])[] = [
  ['no image', ['depth', '--depth-model', model], 2, /Expected an image after diffuse depth but received none/],
  [
    'two images',
    ['depth', 'image.png', 'image.png', '--depth-model', model],
    2,
    /one image after diffuse depth but received 'image.png' too/,
  ],
  ['no network', ['depth', 'image.png'], 2, /Expected --depth-model/],
  ['an image that is missing', ['depth', 'none.png', '--depth-model', model], 1, /Cannot read 'none\.png'/],
  ['an image that is none', ['depth', model, '--depth-model', model], 1, /PNG, JPEG or WebP/],
  ['a network that is missing', ['depth', 'image.png', '--depth-model', 'none.pt'], 1, /none\.pt/],
  ['a network that is an image', ['depth', 'image.png', '--depth-model', 'image.png'], 1, /image\.png/],
  ['a folder for the result', ['depth', 'image.png', '--depth-model', model, '-o', 'no/x.png'], 1, /does not exist/],
  ['a prompt', ['depth', 'image.png', '--depth-model', model, '-p', 'x'], 2, /received -p/],
  ['a misspelled flag', ['depth', 'image.png', '--depth-modell', model], 2, /Did you mean --depth-model\?/],
];

test('every row ends with its exit code, one message and no file', { concurrency: 4 }, async (t) => {
  const before = (await readdir(folder)).sort();
  await Promise.all(
    rows.map(([what, args, exitCode, message]) =>
      t.test(what, async () => {
        const { code, stdout, stderr } = await diffuse(args, folder);
        assert.match(stderr, message);
        assert.deepEqual([code, stdout.length], [exitCode, 0]);
        assert.match(stderr, /^diffuse: /);
        assert.doesNotMatch(stderr, /^\s+at |unexpected/m, 'no stack trace');
      }),
    ),
  );
  assert.deepEqual((await readdir(folder)).sort(), before);
});
