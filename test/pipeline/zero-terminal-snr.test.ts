// Zero terminal SNR: final latents of diffusers, whichever way a model says that it has it. Goldens: test/reference/zero_terminal_snr.py.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type LoadOptions, loadModel, type Model, type SamplerName } from '../../lib/index.ts';
import { type DiffusersNames, writeDiffusersFolder } from '../support/diffusers-folder.ts';
import { golden } from '../support/golden.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

const { scheduler, latents } = golden<{
  scheduler: object;
  latents: { sampler: SamplerName; cfgRescale: number; steps: number; latent: number[] }[];
}>('zero_terminal_snr.json');

function tensorsOfTinyModel(): TestTensor[] {
  const all: TestTensor[] = [];
  tinyModel({ vocabulary: 49408, edit: (tensors) => tensors.filter((tensor) => all.push(tensor) && false) });
  return all;
}

const tensors = tensorsOfTinyModel();
const mark = (name: string): TestTensor => ({ name, dtype: 'f32', shape: [0], values: new Float32Array(0) });

/** How a model says it: files, and options of loading. */
const SOURCES: readonly (readonly [string, () => readonly [path: string, options: LoadOptions]])[] = [
  [
    "a folder by its scheduler's configuration",
    () => {
      const root = join(temporaryFolder(), 'folder');
      writeDiffusersFolder(root, tensors, golden<DiffusersNames>('networks.json'));
      mkdirSync(join(root, 'scheduler'));
      writeFileSync(join(root, 'scheduler', 'scheduler_config.json'), JSON.stringify(scheduler));
      return [root, {}];
    },
  ],
  [
    'a file by the marks of ComfyUI',
    () => {
      const path = join(temporaryFolder(), 'marked.safetensors');
      writeSafetensors(path, [...tensors, mark('v_pred'), mark('ztsnr')]);
      return [path, {}];
    },
  ],
  [
    'a file that says nothing, by options',
    () => {
      const path = join(temporaryFolder(), 'plain.safetensors');
      writeSafetensors(path, tensors);
      return [path, { prediction: 'v', zeroTerminalSnr: true }];
    },
  ],
];

for (const [what, source] of SOURCES) {
  describe(`${what} ends in the latents of diffusers`, () => {
    let model: Model;
    before(async () => {
      const [path, options] = source();
      model = await loadModel(path, { device: 'cpu', threads: 1, precision: 'f32', ...options });
    });
    after(() => model.dispose());

    for (const { latent: expected, ...options } of latents) {
      it(JSON.stringify(options), async () => {
        let latent = new Float32Array(0);
        await model.txt2img({
          ...{
            prompt: 'a red apple',
            negativePrompt: 'blurry',
            width: 32,
            height: 24,
            cfgScale: 3,
            seed: 42,
            rng: 'cpu',
          },
          ...options,
          scheduler: 'simple',
          onStep: (step) => {
            latent = Float32Array.from(step.latent);
          },
        });
        assert.equal(latent.length, expected.length);
        const error = Math.max(...expected.map((value, i) => Math.abs(value - (latent[i] as number))));
        assert.ok(error <= 1e-3, `at most 1e-3 off was expected, it is ${error}`);
      });
    }
  });
}

it('generates finite images with every sampler, and in two passes', async () => {
  const [path, options] = (SOURCES[1] as (typeof SOURCES)[number])[1]();
  await using model = await loadModel(path, { device: 'cpu', threads: 1, precision: 'f32', ...options });
  const common = {
    prompt: 'a',
    width: 32,
    height: 32,
    steps: 4,
    seed: 1,
    previewNoisy: true,
    preview: 'proj',
  } as const;
  for (const sampler of [
    'heun',
    'dpm2',
    'dpm++2s_a',
    'dpm++2m',
    'dpm++2m_sde',
    'lms',
    'ipndm',
    'lcm',
    'tcd',
  ] as const) {
    await model.txt2img({ ...common, sampler });
  }
  const hires = { scale: 1.5, upscaler: 'latent', denoisingStrength: 1 } as const;
  const { images } = await model.txt2img({ ...common, sampler: 'euler', hires });
  assert.deepEqual([images[0]?.width, images[0]?.height], [48, 48]);
});
