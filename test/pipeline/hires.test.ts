// Images generated in two passes: compared with diffusers (golden values from test/reference/hires.py), with all kinds of
// upscalers, and invalid calls.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readImage } from '../../lib/image/input.ts';
import {
  type HiresOptions,
  loadModel,
  loadUpscaler,
  type Model,
  readMetadata,
  type Txt2ImgOptions,
} from '../../lib/index.ts';
import { diffuse } from '../cli/command.ts';
import { soundModel } from '../support/bad-models.ts';
import { assertClose } from '../support/compare.ts';
import { floats, golden } from '../support/golden.ts';
import { inpaintArchitecture } from '../support/tiny-architectures.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import { tinyRrdbNet, writeUpscaler } from '../support/tiny-upscalers.ts';

const options = { prompt: 'x', width: 32, height: 24, steps: 3, seed: 4, cfgScale: 2 } as const;
const x2 = writeUpscaler(tinyRrdbNet({ unshuffle: 2, blocks: 1 }));

let model: Model;
before(async () => {
  model = await loadModel(tinyModel({ vocabulary: 49408 }).path, { threads: 1, precision: 'f32' });
});
after(() => model.dispose());

describe('two passes end with the latent of those of diffusers', () => {
  for (const { options: given, latent } of golden<{ options: Txt2ImgOptions; latent: string }[]>('hires.json')) {
    it(JSON.stringify(given.hires), async () => {
      const run = model.txt2img({ ...given, sampler: 'euler', scheduler: 'discrete', rng: 'cpu' });
      let last = new Float32Array();
      for await (const step of run) last = step.latent as Float32Array<ArrayBuffer>;
      assertClose(last, floats(latent), 1e-3);
    });
  }
});

describe('a second pass', () => {
  it('has its steps after those of the first, previews of its size, and its words in the image', async () => {
    const sizes: unknown[] = [];
    const run = model.txt2img({ ...options, preview: true, hires: { scale: 1.5, steps: 2 } });
    for await (const { index, total, preview, latent } of run)
      sizes.push([index, total, preview?.width, latent.length]);
    assert.deepEqual(sizes, [
      [0, 5, 4, 48],
      [1, 5, 4, 48],
      [2, 5, 4, 48],
      [3, 5, 6, 120],
      [4, 5, 6, 120],
    ]);
    const { images, timings } = await run;
    assert.deepEqual([images[0]?.width, images[0]?.height, timings.steps.length], [48, 40, 5]);
    const path = join(temporaryFolder(), 'hires.png');
    await images[0]?.save(path);
    const { fields, strength, width } = await readMetadata(path);
    assert.deepEqual([width, strength, fields['Hires resize']], [32, 0.7, '48x40']);
    assert.deepEqual([fields['Hires steps'], fields['Hires upscaler']], ['2', 'Latent']);
  });

  it('starts from what any upscaler makes', async () => {
    await using upscaler = await loadUpscaler(x2, { threads: 1 });
    const distinct = new Set<string>();
    for (const one of ['latent', 'latent-nearest', 'latent-bicubic', 'lanczos', x2, upscaler] as const) {
      const { images } = await model.txt2img({
        ...options,
        hires: { upscaler: one, steps: 2, denoisingStrength: 0.3 },
      });
      assert.deepEqual([images[0]?.width, images[0]?.height], [64, 48]);
      distinct.add(Buffer.from(images[0]?.data as Uint8Array).toString('base64'));
    }
    // An open upscaler is the one of its file.
    assert.equal(distinct.size, 5);
    assert.equal((await upscaler.upscale({ width: 4, height: 4, data: new Uint8Array(48) })).width, 8);
  });

  it('takes the last of the levels that a user gives', async () => {
    const scheduler = [14, 6, 2, 0.8, 0.3, 0];
    const run = model.txt2img({ ...options, steps: undefined, scheduler, hires: { denoisingStrength: 0.5 } });
    const sigmas: number[] = [];
    for await (const { sigma } of run) sigmas.push(sigma);
    assert.deepEqual(sigmas, [14, 6, 2, 0.8, 0.3, 0.8, 0.3]);
  });

  it('is cancelled at any moment', async () => {
    const reason = new Error('enough');
    for (const at of [2, 3, 4]) {
      const controller = new AbortController();
      const onStep = ({ index }: { index: number }) => {
        if (index === at) controller.abort(reason);
      };
      await assert.rejects(
        async () => model.txt2img({ ...options, hires: true, onStep, signal: controller.signal }),
        reason,
      );
    }
  });
});

describe('refused:', () => {
  const rows: readonly (readonly [what: string, hires: unknown, code: string, message: RegExp])[] = [
    ['a word', 'yes', 'ERR_INVALID_ARG_TYPE', /hires/],
    ['an unknown option', { strength: 0.5 }, 'ERR_UNKNOWN_OPTION', /denoisingStrength/],
    ['a scale of 0', { scale: 0 }, 'ERR_INVALID_ARG_VALUE', /from 1 to 8 for hires\.scale/],
    ['a scale of NaN', { scale: Number.NaN }, 'ERR_INVALID_ARG_VALUE', /hires\.scale/],
    ['one side', { width: 64 }, 'ERR_INVALID_ARG_VALUE', /both width and height/],
    ['a scale and sides', { scale: 2, width: 64, height: 64 }, 'ERR_INVALID_ARG_VALUE', /either scale or/],
    ['a side of 100', { width: 100, height: 64 }, 'ERR_INVALID_ARG_VALUE', /96 and 104/],
    ['a billion pixels', { width: 16_384, height: 16_384 }, 'ERR_INVALID_ARG_VALUE', /pixels/],
    ['no steps', { steps: 0 }, 'ERR_INVALID_ARG_VALUE', /hires\.steps/],
    ['a strength of 0', { denoisingStrength: 0 }, 'ERR_INVALID_ARG_VALUE', /hires\.denoisingStrength/],
    ['a schedule without end', { steps: 900, denoisingStrength: 0.1 }, 'ERR_INVALID_ARG_VALUE', /at most 1000/],
    ['an unknown upscaler', { upscaler: 'latents' }, 'ERR_INVALID_ARG_VALUE', /Did you mean 'latent'/],
    ['an upscaler that is a number', { upscaler: 4 }, 'ERR_INVALID_ARG_TYPE', /hires\.upscaler/],
    ['a missing file', { upscaler: '/nowhere/x4.pth' }, 'ERR_FILE', /nowhere/],
    ['a file that is no upscaler', { upscaler: tinyModel().path }, 'ERR_MODEL_UNSUPPORTED', /expected an upscaler/],
  ];
  for (const [what, hires, code, message] of rows) {
    it(what, () =>
      assert.rejects(async () => model.txt2img({ ...options, hires: hires as HiresOptions }), { code, message }),
    );
  }

  it('a model for inpainting', async () => {
    const { path } = tinyModel({ vocabulary: 49408, architecture: inpaintArchitecture });
    await using inpainting = await loadModel(path, { threads: 1 });
    const common = async () => inpainting.txt2img({ ...options, hires: true });
    await assert.rejects(common, { code: 'ERR_MODEL_UNSUPPORTED', message: /latent alone for hires/ });
  });
});

describe('diffuse --hires', () => {
  const output = join(temporaryFolder(), 'hires-cli.png');
  const args = [
    '-m',
    soundModel(),
    '-p',
    'x',
    '-W',
    '32',
    '-H',
    '16',
    '--steps',
    '1',
    '-s',
    '1',
    '-t',
    '1',
    '-o',
    output,
  ];

  it('generates the larger image', async () => {
    const flags = ['--hires', '--hires-scale', '1.5', '--hires-steps', '2', '--hires-denoising-strength', '0.5'];
    const { code, stderr } = await diffuse([...args, ...flags, '--hires-upscaler', 'Latent (nearest)']);
    assert.deepEqual([code, stderr], [0, '']);
    const { width, height } = await readImage(output, 'output');
    assert.deepEqual([width, height], [48, 24]);
  });

  for (const [what, flags, message] of [
    ['its flags without it', ['--hires-scale', '2'], /--hires/],
    ['a scale that is no number', ['--hires', '--hires-scale', 'big'], /--hires-scale/],
    ['an unknown upscaler', ['--hires', '--hires-upscaler', 'Latent (sharp)'], /--hires-upscaler/],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const bad = join(temporaryFolder(), 'bad-hires.png');
      const { code, stderr } = await diffuse([...args.slice(0, -1), bad, ...flags]);
      assert.deepEqual([code, message.test(stderr), existsSync(bad)], [2, true, false], stderr);
    });
  }
});
