// The command line that starts from an image: the same as through the API, and messages in the words of its flags.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PNG } from 'pngjs';
import { loadModel } from '../../lib/index.ts';
import { soundModel } from '../support/bad-models.ts';
import { diffuse } from './command.ts';

const model = soundModel();
const base = ['-m', model, '-p', 'a red apple', '--steps', '4', '-s', '7', '-t', '1'];
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-cli-'));
  const [image, mask] = [new PNG({ width: 48, height: 40 }), new PNG({ width: 24, height: 20 })];
  image.data.forEach((_, i) => {
    image.data[i] = i % 4 === 3 ? 255 : (i * 5) % 256;
  });
  mask.data.forEach((_, i) => {
    mask.data[i] = i % 4 === 3 || Math.floor(i / 4) % 24 < 10 ? 255 : 0;
  });
  await writeFile(join(folder, 'image.png'), PNG.sync.write(image));
  await writeFile(join(folder, 'mask.png'), PNG.sync.write(mask));
  await writeFile(join(folder, 'black.png'), PNG.sync.write(new PNG({ width: 24, height: 20 })));
  await writeFile(join(folder, 'text.png'), 'hello');
});
after(() => rm(folder, { recursive: true }));

const options = { prompt: 'a red apple', steps: 4, seed: 7 } as const;

test('img2img and inpaint generate the same images as the API, with or without their names', async () => {
  await using opened = await loadModel(model, { threads: 1 });
  const [image, mask] = [join(folder, 'image.png'), join(folder, 'mask.png')];
  const rows = [
    {
      name: 'img2img',
      flags: ['-i', image, '--strength', '0.5', '--resize-mode', 'stretch', '-W', '32', '-H', '32'],
      run: () => opened.img2img({ ...options, image, strength: 0.5, resizeMode: 'stretch', width: 32, height: 32 }),
    },
    { name: 'img2img', flags: [`--init-img=${image}`], run: () => opened.img2img({ ...options, image }) },
    {
      name: 'inpaint',
      flags: ['--init-img', image, '--mask', mask, '--mask-blur', '1.5', '--invert-mask', '--masked-content', 'fill'],
      run: () => opened.inpaint({ ...options, image, mask, maskBlur: 1.5, invertMask: true, maskedContent: 'fill' }),
    },
    {
      name: 'inpaint',
      flags: ['-i', image, '--mask', mask, '--padding-mask-crop', '4', '-W', '64', '-H', '64', '--strength', '1'],
      run: () => opened.inpaint({ ...options, image, mask, paddingMaskCrop: 4, width: 64, height: 64, strength: 1 }),
    },
  ];
  for (const { name, flags, run } of rows) {
    const expected = await (await run()).images[0]?.png();
    for (const command of [[], [name]]) {
      const { code, stdout, stderr } = await diffuse([...command, ...base, ...flags, '-o', '-']);
      assert.deepEqual([code, stderr], [0, '']);
      assert.deepEqual(stdout, expected, `${command} ${flags}`);
    }
  }
});

test('several images start from one, and --json and --verbose tell of the encoding', async () => {
  const cwd = await mkdtemp(join(folder, 'run-'));
  const { code, stdout, stderr } = await diffuse([...base, '-i', '../image.png', '-b', '2', '--json', '-v'], cwd);
  assert.equal(code, 0, stderr);
  assert.deepEqual(await readdir(cwd), ['output_1.png', 'output_2.png']);
  assert.ok(JSON.parse(stdout.toString()).timings.images[1].imageEncoding > 0);
  assert.match(stderr, /image encoding .* s, sampling/);
  assert.notDeepEqual(await readFile(join(cwd, 'output_1.png')), await readFile(join(cwd, 'output_2.png')));
});

const rows: readonly (readonly [what: string, args: readonly string[], exitCode: 1 | 2, message: RegExp])[] = [
  ['no image', ['img2img'], 2, /the path of an image for --init-img but received none/],
  ['no mask', ['inpaint', '-i', 'image.png'], 2, /for --mask but received none/],
  ['no image to edit', ['edit'], 2, /for --init-img but received none/],
  ['an image to edit by an ordinary model', ['edit', '-i', 'image.png'], 1, /a model for edit, .* Use txt2img/],
  ['an image scale for img2img', ['img2img', '-i', 'image.png', '--img-cfg-scale', '2'], 2, /--img-cfg-scale/],
  ['an image scale of nan', ['-i', 'image.png', '--img-cfg-scale', 'nan'], 2, /for --img-cfg-scale but received 'nan'/],
  ['a strength for edit', ['edit', '-i', 'image.png', '--strength', '1'], 2, /--strength/],
  ['depth without its image', ['--depth', 'mask.png'], 2, /for --init-img but received none/],
  ['depth that is missing', ['-i', 'image.png', '--depth', 'none.png'], 1, /Cannot read 'none\.png'/],
  [
    'depth for an ordinary model',
    ['-i', 'image.png', '--depth', 'mask.png'],
    1,
    /a model for depth2img, .* takes a latent alone/,
  ],
  ['a mask without its image', ['--mask', 'mask.png'], 2, /for --init-img but received none/],
  ['a mask for img2img', ['img2img', '-i', 'image.png', '--mask', 'mask.png'], 2, /received --mask\./],
  ['an image for txt2img', ['txt2img', '-i', 'image.png'], 2, /received -i\./],
  ['an image that is missing', ['-i', 'none.png'], 1, /Cannot read 'none\.png': .*no such file/],
  ['an image that is none', ['-i', 'text.png'], 1, /a PNG, JPEG or WebP image but 'text\.png' is not one/],
  ['a model for an image', ['-i', model], 1, /PNG, JPEG or WebP/],
  ['a folder for an image', ['-i', '.'], 1, /Cannot read '\.'/],
  ['a black mask', ['-i', 'image.png', '--mask', 'black.png'], 2, /a part to regenerate.* for --mask/],
  ['a strength of 2', ['-i', 'image.png', '--strength', '2'], 2, /from 0 to 1 for --strength but received 2/],
  ['a strength of nan', ['-i', 'image.png', '--strength', 'nan'], 2, /for --strength but received 'nan'/],
  [
    'an image of more pixels than may be',
    ['-i', 'image.png', '--max-pixels', '1919'],
    1,
    /1 to 1919 pixels .* 'image\.png' says it has 48 x 40\. Allow more with maxPixels \(--max-pixels\)/,
  ],
  ['no pixels that may be', ['-i', 'image.png', '--max-pixels', '0'], 2, /from 1 to 67108864 for --max-pixels/],
  [
    'a misspelled resize mode',
    ['-i', 'image.png', '--resize-mode', 'fil'],
    2,
    /for --resize-mode.*Did you mean 'fill'\?/,
  ],
  [
    'another size where none may be',
    ['-i', 'image.png', '--resize-mode', 'none', '-W', '64'],
    2,
    /an image of 64 x 48.* for --init-img/,
  ],
  [
    'a misspelled flag',
    ['-i', 'image.png', '--mask', 'mask.png', '--mask-blurr', '3'],
    2,
    /Did you mean --mask-blur\?/,
  ],
];

test('every row ends with its exit code, one message and no file', { concurrency: 4 }, async (t) => {
  const before = (await readdir(folder)).sort();
  await Promise.all(
    rows.map(([what, args, exitCode, message]) =>
      t.test(what, async () => {
        const { code, stdout, stderr } = await diffuse(
          [...args, '-m', model, '-p', 'x', '--steps', '1', '-t', '1'],
          folder,
        );
        assert.match(stderr, message);
        assert.deepEqual([code, stdout.length], [exitCode, 0]);
        assert.match(stderr, /^diffuse: /);
        assert.doesNotMatch(stderr, /^\s+at |unexpected/m, 'no stack trace');
      }),
    ),
  );
  assert.deepEqual((await readdir(folder)).sort(), before);
});
