// Images controlled by ControlNets against diffusers: the same weights, images, prompts and noise. The goldens come from
// test/reference/control.py. Then what the options mean, and what is refused.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it, test } from 'node:test';
import {
  type ControlOptions,
  canny,
  loadModel,
  type Model,
  readMetadata,
  type Txt2ImgOptions,
} from '../../lib/index.ts';
import { psnr } from '../support/compare.ts';
import { golden } from '../support/golden.ts';
import { sd2Architecture, xlArchitecture } from '../support/tiny-architectures.ts';
import { tinyControlNet } from '../support/tiny-control-net.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

interface Goldens {
  /** Base64 of RGB bytes, 48 x 32. */
  images: string[];
  cases: {
    options: Omit<Txt2ImgOptions, 'controls'> & { controls: { strength: number; start: number; end: number }[] };
    images: string[];
  }[];
}

const { images, cases } = golden<Goldens>('control.json');
const [width, height] = [48, 32];
const hints = images.map((data) => ({ width, height, data: new Uint8Array(Buffer.from(data, 'base64')) }));
const [hint] = hints as [(typeof hints)[0]];
const nets = [2, 3].map((seed) => tinyControlNet({ seed }));
const [net] = nets as [string];
const load = (path: string) => loadModel(path, { device: 'cpu', threads: 1, precision: 'f32' });

let model: Model;
before(async () => {
  model = await load(tinyModel({ vocabulary: 49408 }).path);
});
after(() => model.dispose());

const SETTINGS = { sampler: 'euler', scheduler: 'discrete', rng: 'cpu' } as const;
const COMMON = { prompt: 'a red apple', width, height, steps: 4, seed: 1, ...SETTINGS } as const;

const generate = async (controls?: readonly ControlOptions[], options: Partial<Txt2ImgOptions> = {}) => {
  const result = await model.txt2img({ ...COMMON, ...options, ...(controls && { controls }) });
  return result.images[0] as (typeof result.images)[0];
};
const pixels = async (...args: Parameters<typeof generate>) => (await generate(...args)).data;

describe('txt2img with controls generates the images of diffusers', () => {
  for (const { options, images: expected } of cases) {
    it(JSON.stringify(options.controls), async () => {
      const controls = options.controls.map((control, i) => ({
        ...control,
        model: nets[i] as string,
        image: hints[i] as (typeof hints)[0],
      }));
      const result = await model.txt2img({ ...options, ...SETTINGS, controls });
      result.images.forEach(({ data }, i) => {
        const decibels = psnr(data, Buffer.from(expected[i] as string, 'base64'), 255);
        assert.ok(decibels >= 75, `at least 75 dB were expected of image ${i}, it has ${decibels.toFixed(1)}`);
      });
    });
  }
});

test('a strength of 0, and steps in which the control is inactive, generate exactly the image without a control', async () => {
  const without = await pixels();
  assert.deepEqual(await pixels([{ model: net, image: hint, strength: 0 }]), without);
  assert.deepEqual(await pixels([{ model: net, image: hint, start: 0.3, end: 0.4 }]), without);
  assert.notDeepEqual(await pixels([{ model: net, image: hint }]), without);
  assert.notDeepEqual(await pixels([{ model: net, image: hint, start: 0.75 }]), without);
});

test('one ControlNet may follow two images, and the order of controls does not matter much', async () => {
  const [first, second] = hints.map((image) => ({ model: net, image, strength: 0.5 })) as [
    ControlOptions,
    ControlOptions,
  ];
  const both = await pixels([first, second]);
  assert.ok(psnr(await pixels([second, first]), both, 255) > 60);
  assert.ok(psnr(await pixels([first]), both, 255) < 50);
});

test('img2img and inpaint follow controls too', async () => {
  const controls = [{ model: net, image: hint }];
  const mask = { width, height, data: new Uint8Array(width * height).map((_, i) => (i % width < 24 ? 255 : 0)) };
  const common = { ...COMMON, image: hint, strength: 0.8 };
  const imagesWith = async (given: readonly ControlOptions[]) => {
    const runs = [
      model.img2img({ ...common, controls: given }),
      model.inpaint({ ...common, mask, controls: given }),
      model.inpaint({ ...common, mask, paddingMaskCrop: 2, controls: given }),
    ];
    return Promise.all(runs.map(async (run) => (await run).images[0]?.data));
  };
  const [controlled, free] = [await imagesWith(controls), await imagesWith([])];
  for (const [i, data] of controlled.entries()) assert.notDeepEqual(data, free[i], `call ${i}`);
});

test('the second pass of a larger image follows the control at its own size', async () => {
  const imagesWith = async (controls: readonly ControlOptions[]) => generate(controls, { hires: true });
  const last = { model: net, image: hint, preprocessor: 'canny' as const };
  const [controlled, free] = [await imagesWith([last]), await imagesWith([])];
  assert.deepEqual([controlled.width, controlled.height], [2 * width, 2 * height]);
  assert.notDeepEqual(controlled.data, free.data);
});

test('the part of an image that is inpainted follows that part of the control', async () => {
  const mask = { width, height, data: new Uint8Array(width * height) };
  for (let y = 8; y < 16; y++) mask.data.fill(255, y * width + 8, y * width + 16);
  const outside = { ...hint, data: hint.data.map((value, i) => ((i / 3) % width >= 40 ? 255 - value : value)) };
  const inside = { ...hint, data: hint.data.map((value, i) => ((i / 3) % width < 16 ? 255 - value : value)) };
  const imagesWith = async (image: typeof hint) => {
    const options = { ...COMMON, image: hint, mask, paddingMaskCrop: 2, controls: [{ model: net, image }] };
    return (await model.inpaint(options)).images[0]?.data;
  };
  const expected = await imagesWith(hint);
  assert.deepEqual(await imagesWith(outside), expected);
  assert.notDeepEqual(await imagesWith(inside), expected);
});

test('the preprocessor canny detects the edges of the image at the generated size', async () => {
  const options = { low: 40, high: 90 };
  const edges = await canny(hint, options);
  const [controlled, expected] = [
    await pixels([{ model: net, image: hint, preprocessor: 'canny', canny: options }]),
    await pixels([{ model: net, image: edges }]),
  ];
  assert.deepEqual(controlled, expected);
  assert.notDeepEqual(await pixels([{ model: net, image: hint }]), controlled);
  const large = { width: 90, height: 60, data: new Uint8Array(90 * 60).map((_, i) => (i % 90 < 45 ? 0 : 255)) };
  await generate([{ model: net, image: large, preprocessor: 'canny' }]);
});

test('an image tells of its controls', async () => {
  const image = await generate([{ model: net, image: hint, strength: 0.5, end: 0.75, preprocessor: 'canny' }]);
  const name = net.split('/').at(-1);
  const { fields } = await readMetadata(await image.png());
  const words = `Module: canny, Model: ${name}, Weight: 0.5, Guidance Start: 0, Guidance End: 0.75`;
  assert.equal(fields['ControlNet 0'], words);
  assert.deepEqual(image.parameters?.controls, [
    { model: net, preprocessor: 'canny', strength: 0.5, start: 0, end: 0.75 },
  ]);
});

test('ControlNets are freed on request and opened again; a file that changed is read anew', async () => {
  const path = tinyControlNet({ seed: 5 });
  const controls = [{ model: path, image: hint }];
  const expected = await pixels(controls);
  await model.unloadControlNets();
  await model.unloadControlNets();
  assert.deepEqual(await pixels(controls), expected);
  const { copyFileSync, renameSync, utimesSync } = await import('node:fs');
  copyFileSync(net, `${path}.new`);
  utimesSync(`${path}.new`, 1, 1);
  renameSync(`${path}.new`, path);
  assert.deepEqual(await pixels(controls), await pixels([{ model: net, image: hint }]));
});

test('a model of any family works with its own ControlNets, and rejects others before it starts', async () => {
  for (const architecture of [sd2Architecture, xlArchitecture]) {
    await using other = await load(tinyModel({ architecture, vocabulary: 49408 }).path);
    const run = (controls: readonly ControlOptions[]) => other.txt2img({ ...COMMON, controls });
    const own = tinyControlNet({ architecture });
    const { images: controlled } = await run([{ model: own, image: hint }]);
    const { images: free } = await run([]);
    assert.notDeepEqual(controlled[0]?.data, free[0]?.data);
    let steps = 0;
    const refused = other.txt2img({ ...COMMON, onStep: () => void steps++, controls: [{ model: net, image: hint }] });
    await assert.rejects(refused, { name: 'DiffusionError', code: 'ERR_MODEL_MISMATCH', message: /for this model/ });
    assert.equal(steps, 0);
  }
});

const file = (name: string, bytes: Uint8Array | string) => {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, bytes);
  return path;
};
const good = { model: net, image: hint };

const WRONG: Record<string, [controls: unknown, code: RegExp | string, message: RegExp]> = {
  'controls that are no array': [good, 'ERR_INVALID_ARG_TYPE', /an array of \{ model, image \} for controls/],
  'a control that is a path': [[net], 'ERR_INVALID_ARG_TYPE', /an object \{ model, .* for controls\[0\]/],
  '100 controls': [Array(100).fill(good), 'ERR_INVALID_ARG_VALUE', /at most 8 controls.*100/],
  'no model': [[{ image: hint }], 'ERR_INVALID_ARG_TYPE', /a path for controls\[0\]\.model/],
  'an array with a hole': [Array(1), 'ERR_INVALID_ARG_TYPE', /an object \{ model, .* for controls\[0\]/],
  'an empty path': [[{ ...good, model: '' }], 'ERR_INVALID_ARG_VALUE', /controls\[0\]\.model/],
  'no image': [[good, { model: net }], 'ERR_INVALID_ARG_TYPE', /controls\[1\]\.image/],
  'a strength of NaN': [[{ ...good, strength: Number.NaN }], 'ERR_INVALID_ARG_VALUE', /controls\[0\]\.strength.*NaN/],
  'a negative strength': [[{ ...good, strength: -1 }], 'ERR_INVALID_ARG_VALUE', /from 0 to 10/],
  'an endless strength': [[{ ...good, strength: 1 / 0 }], 'ERR_INVALID_ARG_VALUE', /Infinity/],
  'a start behind the end': [
    [{ ...good, start: 0.8, end: 0.2 }],
    'ERR_INVALID_ARG_VALUE',
    /less than the end, 0\.2, for controls\[0\]\.start but received 0\.8/,
  ],
  'an empty part of the steps': [[{ ...good, end: 0 }], 'ERR_INVALID_ARG_VALUE', /less than/],
  'an end beyond 1': [[{ ...good, end: 2 }], 'ERR_INVALID_ARG_VALUE', /controls\[0\]\.end/],
  'an unknown preprocessor': [[{ ...good, preprocessor: 'cany' }], 'ERR_INVALID_ARG_VALUE', /Did you mean 'canny'/],
  'thresholds without their preprocessor': [[{ ...good, canny: { low: 1 } }], 'ERR_INVALID_ARG_VALUE', /preprocessor/],
  'wrong thresholds': [
    [{ ...good, preprocessor: 'canny', canny: { low: 9, high: 5 } }],
    'ERR_INVALID_ARG_VALUE',
    /controls\[0\]\.canny\.low/,
  ],
  'an unknown option': [[{ ...good, weight: 1 }], 'ERR_UNKNOWN_OPTION', /controls\[0\]\.weight/],
  'a missing file': [[{ ...good, model: '/nowhere/net.pth' }], 'ERR_FILE', /nowhere/],
  'a file that is no model': [
    [{ ...good, model: file('text.safetensors', 'no tensors here, though long enough for a header') }],
    /^ERR_MODEL_/,
    /text\.safetensors/,
  ],
  'a whole model': [[{ ...good, model: tinyModel().path }], 'ERR_MODEL_UNSUPPORTED', /no tensor of a ControlNet/],
  'an image that is none': [[{ ...good, image: file('text.png', 'no image') }], 'ERR_IMAGE', /text\.png/],
  'an image that is missing': [[{ ...good, image: '/nowhere/edges.png' }], 'ERR_FILE', /nowhere/],
  'an image of another size that may not be resized': [
    [{ ...good, image: { width: 8, height: 8, data: new Uint8Array(64) }, resizeMode: 'none' }],
    'ERR_INVALID_ARG_VALUE',
    /an image of 48 x 32.*controls\[0\]\.image but received 8 x 8/,
  ],
};

describe('wrong controls are refused, and the model is still sound', () => {
  for (const [name, [controls, code, message]] of Object.entries(WRONG)) {
    it(name, async () => {
      await assert.rejects(generate(controls as ControlOptions[]), { code, message });
    });
  }
  it('a ControlNet cut short anywhere', async () => {
    const { readFileSync } = await import('node:fs');
    const whole = readFileSync(net);
    for (const share of [0, 1e-6, 0.001, 0.01, 0.5, 0.999]) {
      const path = file('cut.safetensors', whole.subarray(0, Math.floor(whole.length * share)));
      await assert.rejects(generate([{ ...good, model: path }]), { name: 'DiffusionError' }, `${share}`);
    }
  });
  it('an aborted signal', async () => {
    await assert.rejects(generate([good], { signal: AbortSignal.abort(new Error('enough')) }), /enough/);
  });
  it('and the model remains usable', async () => {
    const { data } = await generate([good]);
    assert.deepEqual(await pixels([good]), data);
  });
});
