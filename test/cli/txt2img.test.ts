// The command line at its work: files, standard output, JSON, previews, signals.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PNG } from 'pngjs';
import { loadModel, readMetadata } from '../../lib/index.ts';
import { soundModel } from '../support/bad-models.ts';
import { diffuse, start } from './command.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-cli-'));
});
after(() => rm(folder, { recursive: true }));

const newFolder = () => mkdtemp(join(folder, 'run-'));
const model = soundModel();
const base = ['-m', model, '-p', 'a red apple', '-W', '64', '-H', '48', '--steps', '2', '-s', '7', '-t', '1'];

test('an image is generated and written, the same as with the API, and without a terminal only a chosen file name is printed', async () => {
  const cwd = await newFolder();
  const { code, stdout, stderr } = await diffuse(
    [
      ...base,
      '-n',
      'blue',
      '--cfg-scale',
      '5',
      '--sampling-method',
      'heun',
      '--scheduler',
      'karras',
      '--clip-skip',
      '2',
      '--rng',
      'cpu',
    ],
    cwd,
  );
  assert.deepEqual([code, stdout.length], [0, 0]);
  assert.match(stderr, /^output\.png: seed 7, \d+\.\d\d s\n$/);
  assert.deepEqual(await readdir(cwd), ['output.png']);
  const options = {
    prompt: 'a red apple',
    negativePrompt: 'blue',
    width: 64,
    height: 48,
    steps: 2,
    seed: 7,
    cfgScale: 5,
    sampler: 'heun',
    scheduler: 'karras',
    clipSkip: 2,
    rng: 'cpu',
  } as const;
  await using opened = await loadModel(model, { threads: 1 });
  const { images } = await opened.txt2img(options);
  assert.deepEqual(await readFile(join(cwd, 'output.png')), await images[0]?.png());
});

test('several images are numbered, with seeds counting up, and --json reports them', async () => {
  const cwd = await newFolder();
  const { code, stdout } = await diffuse(['txt2img', ...base, '-o', 'a.png', '-b', '2', '--json'], cwd);
  assert.equal(code, 0);
  assert.deepEqual(await readdir(cwd), ['a_1.png', 'a_2.png']);
  const lines = stdout.toString().split('\n');
  assert.deepEqual([lines.length, lines[1]], [2, '']);
  const { files, seeds, timings, peakMemory } = JSON.parse(lines[0] as string);
  assert.deepEqual(
    [files, seeds],
    [
      ['a_1.png', 'a_2.png'],
      [7, 8],
    ],
  );
  assert.ok(timings.load > 0 && timings.images.length === 2 && timings.images[1].steps.length === 2);
  assert.ok(peakMemory > 2 ** 20 && peakMemory < 2 ** 40);
  assert.equal((await readMetadata(join(cwd, 'a_2.png'))).seed, 8);
});

test('seeds of 64 bits are exact on the way in and out', async () => {
  const cwd = await newFolder();
  const seeds = ['18446744073709551614', '18446744073709551615'];
  const args = ['-p', 'x', '--steps', '1', '-W', '16', '-H', '16', '-o', 'a.png', '--json'];
  const { code, stdout } = await diffuse([...args, '-s', seeds[0] as string, '-b', '2'], cwd);
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(String(stdout)).seeds, seeds);
  const { stdout: metadata } = await diffuse(['metadata', 'a_2.png', '--json'], cwd);
  assert.equal(JSON.parse(String(metadata)).seed, seeds[1]);
  assert.equal((await readMetadata(join(cwd, 'a_2.png'))).seed, BigInt(seeds[1] as string));
  const edge = await diffuse([...args, '-s', `${2 ** 53 - 1}`, '-b', '2'], cwd);
  assert.deepEqual(JSON.parse(String(edge.stdout)).seeds, [2 ** 53 - 1, `${2n ** 53n}`]);
});

test('without a name nothing is overwritten: the names count up', async () => {
  const cwd = await newFolder();
  for (const more of [[], [], ['-b', '2'], []]) assert.equal((await diffuse([...base, ...more], cwd)).code, 0);
  const names = ['output.png', 'output_2.png', 'output_3.png', 'output_4.png', 'output_5.png'];
  assert.deepEqual(await readdir(cwd), names);
  const seeds = await Promise.all(names.map(async (name) => (await readMetadata(join(cwd, name))).seed));
  assert.deepEqual(seeds, [7, 7, 7, 8, 7]);
});

test('without a terminal a random seed is printed, and what is on the command line is not', async () => {
  const cwd = await newFolder();
  const random = base.filter((_, i) => !['-s', '7'].includes(base[i] as string));
  const [named, chosen, silent] = await Promise.all([
    diffuse([...random, '-o', 'a.png'], cwd),
    diffuse([...random, '-o', 'b.webp', '--quality', '50', '-s', '-1'], cwd),
    diffuse([...base, '-o', 'c.jpg'], cwd),
  ]);
  for (const [file, { stderr }] of [
    ['a.png', named],
    ['b.webp', chosen],
  ] as const) {
    const [, seed] = /: seed (\d+), /.exec(stderr) ?? [];
    assert.equal((await readMetadata(join(cwd, file))).seed, Number(seed));
  }
  assert.equal(silent.stderr, '');
  assert.equal((await readMetadata(join(cwd, 'c.jpg'))).seed, 7);
});

test('--progress json prints a line for each step of each image to standard error', async () => {
  const cwd = await newFolder();
  const { code, stdout, stderr } = await diffuse(
    [...base, '-o', 'a.png', '-b', '2', '--progress', 'json', '--json'],
    cwd,
  );
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout.toString()).files.length, 2);
  const lines = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.map(({ stage, image, images, step, steps }) => [stage, image, images, step, steps]),
    [1, 2].flatMap((image) => [1, 2].map((step) => ['sampling', image, 2, step, 2])),
  );
  assert.ok(lines.every(({ seconds, secondsLeft }) => seconds >= 0 && secondsLeft >= 0));
  assert.equal(lines[1].secondsLeft, 0);
});

test('a pattern in the name counts from 0', async () => {
  const cwd = await newFolder();
  assert.equal((await diffuse([...base, '-o', 'a%03d.png', '-b', '2'], cwd)).code, 0);
  assert.deepEqual(await readdir(cwd), ['a000.png', 'a001.png']);
});

test('-o - writes the image to standard output and no file', async () => {
  const cwd = await newFolder();
  const { code, stdout, stderr } = await diffuse([...base, '-o', '-'], cwd);
  assert.deepEqual([code, stderr], [0, '']);
  assert.equal(PNG.sync.read(stdout).width, 64);
  assert.deepEqual(await readdir(cwd), []);
});

test('a preview is written during sampling', async () => {
  const cwd = await newFolder();
  assert.equal((await diffuse([...base, '-o', 'a.png', '--preview-path', 'p.png'], cwd)).code, 0);
  assert.deepEqual(await readdir(cwd), ['a.png', 'p.png']);
  const { width, height } = PNG.sync.read(await readFile(join(cwd, 'p.png')));
  assert.deepEqual([width, height], [8, 6]);
});

test('--verbose reports the model and the timings on standard error', async () => {
  const { code, stdout, stderr } = await diffuse([...base, '-o', '-', '-v']);
  assert.equal(code, 0);
  assert.equal(PNG.sync.read(stdout).width, 64);
  assert.match(stderr, /^sound: sd1, predicts epsilon; on cpu with 1 threads( in (bf16|f32))?; .* mapped/);
  assert.match(stderr, /text encoding .* s, sampling .* s, decoding .* s$/m);
});

test('sigmas and the prediction type are taken', async () => {
  const [a, b, c] = await Promise.all(
    [[], ['--prediction', 'v'], ['--sigmas', '[10, 2, 0]']].map((flags) => diffuse([...base, '-o', '-', ...flags])),
  );
  assert.deepEqual([a?.code, b?.code, c?.code], [0, 0, 0]);
  assert.notDeepEqual(a?.stdout, b?.stdout);
  assert.notDeepEqual(a?.stdout, c?.stdout);
});

for (const [signal, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  test(`${signal} ends the command cleanly and leaves no file`, async () => {
    const cwd = await newFolder();
    const args = [
      '-m',
      model,
      '-p',
      'x',
      '-W',
      '256',
      '-H',
      '256',
      '--steps',
      '1000',
      '-t',
      '1',
      '--preview-path',
      'preview.png',
    ];
    const { child, finished } = start(args, cwd);
    for (let written = false; !written; ) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(child.exitCode, null, 'still generating');
      written = (await readdir(cwd)).includes('preview.png');
    }
    child.kill(signal);
    // As npx does with the signals that the terminal has sent already.
    child.kill(signal);
    const { code, stderr } = await finished;
    assert.deepEqual([code, stderr], [exitCode, '']);
    assert.deepEqual(await readdir(cwd), ['preview.png']);
  });
}

test('a command that waits for a file system ends some seconds after a signal', {
  skip: process.platform === 'win32',
}, async () => {
  const neverOpens = `
    import { syncBuiltinESMExports } from 'node:module';
    import fs from 'node:fs/promises';
    fs.open = () => new Promise(() => setInterval(() => process.stderr.write('.'), 10));
    syncBuiltinESMExports();`;
  const hook = `--import data:text/javascript,${encodeURIComponent(neverOpens)}`;
  const { child, finished } = start(['metadata', 'any.png'], undefined, { ...process.env, NODE_OPTIONS: hook });
  await new Promise((resolve) => child.stderr?.once('data', resolve));
  child.kill('SIGINT');
  const { code, stderr } = await finished;
  assert.deepEqual([code, child.signalCode], [null, 'SIGINT']);
  assert.match(stderr, /^\.+$/);
});

test('a reader that goes away ends the command without a word', async () => {
  const { child, finished } = start(['inspect', model, '--json']);
  child.stdout?.destroy();
  const { code, stderr } = await finished;
  assert.deepEqual([code, stderr], [141, '']);
});

test('inspect, devices and metadata print for people and for programs', async () => {
  const cwd = await newFolder();
  const image = join(cwd, 'a.png');
  assert.equal((await diffuse([...base, '-o', image])).code, 0);
  const texts = await Promise.all([diffuse(['inspect', model]), diffuse(['devices']), diffuse(['metadata', image])]);
  for (const [i, pattern] of [/^family +sd1$/m, /^cpu +cpu/m, /^a red apple\nSteps: 2, /].entries()) {
    const warning = i === 2 ? "warning: The image was generated with the model 'sound'. Give its path with -m\n" : '';
    assert.deepEqual([texts[i]?.code, texts[i]?.stderr], [0, warning]);
    assert.match(String(texts[i]?.stdout), pattern);
  }
  const [inspection, devices, metadata] = await Promise.all(
    [['inspect', model], ['devices'], ['metadata', image]].map(async (args) =>
      JSON.parse(String((await diffuse([...args, '--json'])).stdout)),
    ),
  );
  assert.equal(inspection.family, 'sd1');
  assert.equal(devices[0].name, 'cpu');
  assert.equal(metadata.seed, 7);
});

test('help and version go to standard output', async () => {
  const [help, version, inspectHelp] = await Promise.all([
    diffuse(['--help']),
    diffuse(['--version']),
    diffuse(['help', 'inspect']),
  ]);
  assert.equal(inspectHelp?.stderr, '');
  assert.deepEqual([help?.code, version?.code, inspectHelp?.code], [0, 0, 0]);
  assert.match(String(help?.stdout), /--negative-prompt/);
  assert.match(String(version?.stdout), /^\d+\.\d+\.\d+\n$/);
  assert.match(String(inspectHelp?.stdout), /diffuse inspect \[file\]/);
});
