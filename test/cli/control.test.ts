// Controls on the command line: the same as through the API, and messages in the words of its flags.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, test } from 'node:test';
import { PNG } from 'pngjs';
import { loadModel } from '../../lib/index.ts';
import { soundModel } from '../support/bad-models.ts';
import { sd2Architecture } from '../support/tiny-architectures.ts';
import { tinyControlNet } from '../support/tiny-control-net.ts';
import { diffuse } from './command.ts';

const model = soundModel();
const [net, other] = [tinyControlNet(), tinyControlNet({ seed: 3 })];
const base = ['-m', model, '-p', 'a red apple', '-W', '48', '-H', '40', '--steps', '4', '-s', '7', '-t', '1'];
let folder: string;
let edges: string;
let text: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-cli-'));
  const image = new PNG({ width: 48, height: 40 });
  image.data.forEach((_, i) => {
    image.data[i] = i % 4 === 3 || Math.floor(i / 4) % 48 < 20 ? 255 : 0;
  });
  [edges, text] = [join(folder, 'edges.png'), join(folder, 'text.png')];
  await writeFile(edges, PNG.sync.write(image));
  await writeFile(text, 'hello');
});
after(() => rm(folder, { recursive: true }));

test('flags of controls generate the same image as the API', async () => {
  await using opened = await loadModel(model, { threads: 1 });
  const options = { prompt: 'a red apple', width: 48, height: 40, steps: 4, seed: 7 };
  const rows = [
    {
      flags: ['--control-net', net, '--control-image', edges, '--control-strength', '0.7', '--canny'],
      controls: [{ model: net, image: edges, strength: 0.7, preprocessor: 'canny' as const }],
    },
    {
      flags: [
        ...['--control-net', net, '--control-net', other, '--control-image', edges],
        ...['--control-strength', '0.7', '--control-strength', '0.4', '--control-start=0.25', '--control-end=0.75'],
      ],
      controls: [
        { model: net, image: edges, strength: 0.7, start: 0.25, end: 0.75 },
        { model: other, image: edges, strength: 0.4, start: 0.25, end: 0.75 },
      ],
    },
  ];
  for (const { flags, controls } of rows) {
    const expected = await (await opened.txt2img({ ...options, controls })).images[0]?.png();
    const { code, stdout, stderr } = await diffuse([...base, ...flags, '-o', '-']);
    assert.deepEqual([code, stderr], [0, '']);
    assert.deepEqual(stdout, expected);
  }
});

const good = () => ['--control-net', net, '--control-image', edges];
const three = (flag: string, value: string) => Array(3).fill([flag, value]).flat();

const ROWS: Record<string, [flags: () => string[], exitCode: 1 | 2, message: RegExp]> = {
  'no image': [() => ['--control-net', net], 2, /--control-image with --control-net but received none/],
  'no ControlNet': [() => ['--control-image', edges], 2, /--control-net with --control-image/],
  'a switch alone': [() => ['--canny'], 2, /--control-net with --canny/],
  'two strengths for three controls': [
    () => [...good(), ...three('--control-net', other).slice(0, 4), '--control-strength=1', '--control-strength=1'],
    2,
    /--control-strength 3 times, once per control, but received it 2 times/,
  ],
  'a strength that is no number': [() => [...good(), '--control-strength', 'much'], 2, /--control-strength.*'much'/],
  'a negative strength': [() => [...good(), '--control-strength=-1'], 2, /from 0 to 10 for --control-strength/],
  'a start behind the end': [
    () => [...good(), '--control-start=0.9', '--control-end=0.1'],
    2,
    /less than the end, 0\.1, for --control-start/,
  ],
  'nine controls': [() => Array(9).fill(good()).flat(), 2, /at most 8 controls for --control-net but received 9/],
  'a missing image': [() => ['--control-net', net, '--control-image', '/no/such.png'], 1, /no\/such\.png/],
  'an image that is none': [() => ['--control-net', net, '--control-image', text], 1, /text\.png' is not one/],
  'a missing ControlNet': [() => ['--control-net', '/no/such.pth', '--control-image', edges], 1, /no\/such\.pth/],
  'a ControlNet of another family': [
    () => ['--control-net', tinyControlNet({ architecture: sd2Architecture }), '--control-image', edges],
    1,
    /for this model, of the family 'sd1'/,
  ],
  'another flag twice': [() => [...good(), '--steps', '3'], 2, /--steps once/],
};

describe('problems of controls are reported by flags, and no file is left', () => {
  for (const [name, [flags, exitCode, message]] of Object.entries(ROWS)) {
    it(name, async () => {
      const { code, stderr } = await diffuse([...base, ...flags(), '-o', join(folder, 'out.png')]);
      assert.match(stderr, message);
      assert.equal(stderr.trim().split('\n').length, 1, stderr);
      assert.equal(code, exitCode);
      assert.deepEqual((await readdir(folder)).sort(), ['edges.png', 'text.png']);
    });
  }
});
