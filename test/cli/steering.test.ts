// Guidance, prompt editing and SDXL's size conditioning, from the command line.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadModel, readMetadata } from '../../lib/index.ts';
import { xlArchitecture } from '../support/tiny-architectures.ts';
import { tinyModel } from '../support/tiny-model.ts';
import { diffuse } from './command.ts';

const model = tinyModel({ architecture: xlArchitecture, vocabulary: 49408 }).path;
const base = ['-m', model, '-W', '16', '-H', '16', '--steps', '3', '-s', '7', '-t', '1'];
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-steering-'));
});
after(() => rm(folder, { recursive: true }));

test('flags set the options that steer', async () => {
  const output = join(folder, 'out.png');
  const prompt = 'a [red:green:0.5] apple';
  const flags = [
    '--cfg-rescale',
    '0.7',
    '--pag-scale',
    '3',
    '--guidance-interval',
    '0,0.9',
    '--original-size',
    '640x480',
  ];
  const more = ['--crop-top-left', '12,34', '--target-size', '512x384'];
  const { code, stderr } = await diffuse([...base, '-p', prompt, '-o', output, ...flags, ...more]);
  assert.deepEqual([code, stderr], [0, '']);
  await using opened = await loadModel(model, { threads: 1 });
  const { images } = await opened.txt2img({
    ...{ prompt, width: 16, height: 16, steps: 3, seed: 7 },
    ...{ cfgRescale: 0.7, pagScale: 3, guidanceInterval: [0, 0.9] },
    originalSize: { width: 640, height: 480 },
    cropTopLeft: { top: 12, left: 34 },
    targetSize: { width: 512, height: 384 },
  });
  assert.deepEqual(await readFile(output), Buffer.from((await images[0]?.png()) as Uint8Array));
  const { fields } = await readMetadata(output);
  const names = ['Guidance interval', 'Original size', 'Crop top left', 'Target size'];
  assert.deepEqual(
    names.map((name) => fields[name]),
    ['0, 0.9', '640x480', '12, 34', '512x384'],
  );
});

const REFUSED: [flag: string, value: string, message: RegExp][] = [
  ['--original-size', '640', /Expected WIDTHxHEIGHT in pixels for --original-size but received '640'/],
  ['--original-size', '640xtall', /Expected WIDTHxHEIGHT/],
  ['--original-size', '1x2x3', /Expected WIDTHxHEIGHT/],
  ['--target-size', '-1x2', /from 0 to 1048576 for --target-size but received -1/],
  ['--crop-top-left', '1x2', /Expected TOP,LEFT in pixels for --crop-top-left/],
  ['--crop-top-left', '1.5,2', /an integer .* for --crop-top-left but received 1.5/],
  ['--aesthetic-score', '11', /from 0 to 10 for --aesthetic-score/],
  ['--aesthetic-score', '7', /Expected none, since this model \(sdxl\) takes none, for --aesthetic-score/],
  ['--cfg-rescale', '2', /from 0 to 1 for --cfg-rescale/],
  ['--pag-scale', 'much', /for --pag-scale but received 'much'/],
  ['--guidance-interval', '0.8,0.2', /the first below the second for --guidance-interval/],
  ['--guidance-interval', '0.8', /an array of two numbers .* for --guidance-interval/],
  ['--guidance-interval', 'early,late', /an array of two numbers/],
  ['--prompt', '[a:(b:1.2.3):0.5]', /a number as attention weight for --prompt/],
];
for (const [flag, value, message] of REFUSED) {
  test(`refused: ${flag}=${value}`, async () => {
    const prompt = flag === '--prompt' ? [] : ['-p', 'x'];
    const { code, stderr } = await diffuse([...base, ...prompt, `${flag}=${value}`, '-o', join(folder, 'refused.png')]);
    assert.match(stderr, message);
    assert.equal(code, 2);
    assert.ok(!(await readdir(folder)).includes('refused.png'));
  });
}

test('the help has the size conditioning of SDXL under a heading of its own, and no types', async () => {
  const { code, stdout } = await diffuse(['--help', 'all']);
  assert.equal(code, 0);
  assert.doesNotMatch(stdout.toString(), /\[(string|boolean)\]/);
  const [general, sdxl] = stdout.toString().split('Size conditioning of SDXL:');
  assert.match(general as string, /--guidance-interval/);
  assert.doesNotMatch(general as string, /--original-size/);
  assert.match(sdxl as string, /--original-size/);
});
