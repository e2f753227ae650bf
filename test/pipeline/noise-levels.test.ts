// The noise levels that a model was trained on come from its files. Goldens of diffusers: test/reference/noise_levels.py.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import {
  inspectModel,
  type LoadOptions,
  loadModel,
  type Model,
  SAMPLERS,
  type SamplerName,
  SCHEDULERS,
  type SchedulerName,
  stableDiffusionTable,
  type Txt2ImgOptions,
} from '../../lib/index.ts';
import { diffuse } from '../cli/command.ts';
import { psnr } from '../support/compare.ts';
import { type DiffusersNames, writeDiffusersFolder } from '../support/diffusers-folder.ts';
import { golden } from '../support/golden.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

interface Goldens {
  tables: { scheduler: object; alphas: Record<string, number> }[];
  options: Txt2ImgOptions;
  /** Base64 of RGB bytes. */
  images: { scheduler: object; image: string }[];
}

const goldens = golden<Goldens>('noise_levels.json');
const computing = { device: 'cpu', threads: 1, precision: 'f32' } as const;

const tensors: TestTensor[] = [];
tinyModel({ vocabulary: 49408, edit: (all) => all.filter((one) => tensors.push(one) && false) });
const folder = join(temporaryFolder(), 'noise-levels');
writeDiffusersFolder(folder, tensors, golden<DiffusersNames>('networks.json'));
mkdirSync(join(folder, 'scheduler'));

/** The same folder with another configuration of its scheduler, an object or JSON. */
function configured(scheduler: object | string): string {
  const json = typeof scheduler === 'string' ? scheduler : JSON.stringify(scheduler);
  writeFileSync(join(folder, 'scheduler', 'scheduler_config.json'), json);
  return folder;
}

/** What a configuration of diffusers has besides. */
const USUAL = {
  _class_name: 'EulerDiscreteScheduler',
  _diffusers_version: '0.30.0',
  trained_betas: null,
  sigma_max: null,
};
const SD = { beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012, num_train_timesteps: 1000 };

const tensor = (name: string, values: ArrayLike<number> = [], dtype: 'f32' | 'f16' = 'f32'): TestTensor => ({
  name,
  dtype,
  shape: [values.length],
  values: Float32Array.from(values),
});

let count = 0;
/** A model with some tensors more. */
function marked(marks: readonly TestTensor[] = [], metadata?: Record<string, string>): string {
  const path = join(temporaryFolder(), `marked-${count++}.safetensors`);
  writeSafetensors(path, [...tensors, ...marks], metadata);
  return path;
}

const standard = stableDiffusionTable();
/** Stable Diffusion's table with a zero terminal SNR as ComfyUI has it, in float64. */
const zeroTerminal = (() => {
  const roots = standard.alphasCumprod.map(Math.sqrt);
  const [first, last] = [roots[0] as number, roots[999] as number];
  const alphas = roots.map((root) => (((root - last) * first) / (first - last)) ** 2);
  alphas[999] = 4.8973451890853435e-8;
  return alphas;
})();

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i] as number, expected[i] as number];
    assert.ok(Math.abs(a - e) <= tolerance * e, `level ${i}: ${a} against ${e}`);
  }
}

const COMMON = { prompt: 'a red apple', width: 16, height: 16, steps: 3, seed: 1 } as const;
const generate = async (model: Model, options: Partial<Txt2ImgOptions> = {}) => {
  const { images } = await model.txt2img({ ...COMMON, ...options });
  return (images[0] as { data: Uint8Array }).data;
};

describe("the configuration of a folder's scheduler gives the levels of diffusers", () => {
  for (const { scheduler, alphas } of goldens.tables) {
    it(JSON.stringify(scheduler).slice(0, 120), async () => {
      await using model = await loadModel(configured({ ...USUAL, ...scheduler }), computing);
      const table = model.sigmaTable.alphasCumprod;
      const kept = Object.keys(alphas).map((t) => table[Number(t)] as number);
      assertClose(kept, Object.values(alphas), 1e-4);
      assert.equal(model.info.noise.steps, table.length);
    });
  }
});

describe("a folder generates as its scheduler's configuration says, like diffusers", () => {
  for (const { scheduler, image } of goldens.images) {
    it(JSON.stringify(scheduler), async () => {
      await using model = await loadModel(configured({ ...USUAL, ...scheduler }), computing);
      const { images } = await model.txt2img({ ...goldens.options, sampler: 'euler', rng: 'cpu' });
      const decibels = psnr((images[0] as { data: Uint8Array }).data, Buffer.from(image, 'base64'), 255);
      assert.ok(decibels >= 60, `at least 60 dB were expected, it has ${decibels.toFixed(1)}`);
    });
  }
});

test("a configuration of Stable Diffusion's own levels leaves the very table, and what it does not say is Stable Diffusion's", async () => {
  const silent = [{}, { num_train_timesteps: 1000 }, { prediction_type: 'epsilon', timestep_spacing: 'leading' }];
  for (const scheduler of [SD, { ...USUAL, ...SD, steps_offset: 1 }, ...silent]) {
    await using model = await loadModel(configured(scheduler), computing);
    assert.deepEqual(model.sigmaTable.alphasCumprod, standard.alphasCumprod);
    assert.equal(model.info.alphasCumprod, undefined);
    assert.equal(model.info.defaultScheduler, 'discrete');
  }
});

test('numbers that only Python writes are no reason to refuse a folder', async () => {
  const json = `{"lambda_min_clipped": -Infinity, "a": NaN, "note": "Infinity \\"NaN", "b": [Infinity, {"c": null}], "prediction_type": "v_prediction"}`;
  await using model = await loadModel(configured(json), computing);
  assert.equal(model.info.prediction, 'v');
});

test('the marks of a file say that it predicts v with a zero terminal SNR', async () => {
  for (const marks of [['v_pred', 'ztsnr'], ['ztsnr']]) {
    const path = marked(marks.map((name) => tensor(name)));
    await using model = await loadModel(path, computing);
    assert.equal(model.info.prediction, 'v');
    assert.equal(model.info.noise.zeroTerminalSnr, true);
    assertClose(model.sigmaTable.alphasCumprod, zeroTerminal, 1e-9);
    assert.ok(Math.abs(model.sigmaTable.sigmaMax - 4518.76) < 0.01);
    const { prediction, noise, unused } = await inspectModel(path);
    assert.deepEqual([prediction, noise, unused], ['v', model.info.noise, []]);
  }
});

test('marks count where they are beside the UNet, and before what metadata say', async () => {
  const plain = marked();
  const v = marked([tensor('v_pred')]);
  await using unet = await loadModel({ model: plain, unet: v }, computing);
  assert.equal(unet.info.prediction, 'v');
  await using vae = await loadModel({ model: plain, vae: v }, computing);
  assert.equal(vae.info.prediction, 'epsilon');
  const both = marked([tensor('v_pred')], { 'modelspec.prediction_type': 'epsilon' });
  await using otherwise = await loadModel(both, computing);
  assert.equal(otherwise.info.prediction, 'v');
  await using comfy = await loadModel(marked([], { 'modelspec.predict_key': 'v' }), computing);
  assert.equal(comfy.info.prediction, 'v');
});

test('all samplers and schedules work with levels that start at pure noise', async () => {
  await using model = await loadModel(marked([tensor('v_pred'), tensor('ztsnr')]), computing);
  await using plain = await loadModel(marked([tensor('v_pred')]), computing);
  const images = new Map<string, Uint8Array>();
  for (const sampler of Object.keys(SAMPLERS) as SamplerName[]) {
    images.set(sampler, await generate(model, { sampler }));
    assert.notDeepEqual(images.get(sampler), await generate(plain, { sampler }), sampler);
  }
  for (const scheduler of Object.keys(SCHEDULERS) as SchedulerName[]) {
    const sigmas = SCHEDULERS[scheduler](3, model.sigmaTable);
    // These are published lists of levels, the same for every model.
    if (scheduler !== 'ays' && scheduler !== 'gits')
      assertClose([sigmas[0] as number], [model.sigmaTable.sigmaMax], 1e-9);
    await generate(model, { sampler: 'euler', scheduler });
  }
  const image = { width: 16, height: 16, data: new Uint8Array(16 * 16 * 3).fill(90) };
  const mask = { width: 16, height: 16, data: new Uint8Array(16 * 16).fill(255, 0, 100) };
  for (const strength of [1, 0.5]) {
    await model.img2img({ ...COMMON, image, strength });
    await model.inpaint({ ...COMMON, image, mask, strength });
  }
});

/** To the nearest number of bfloat16. */
function toBfloat16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  bits[0] = ((bits[0] as number) + 0x7fff + (((bits[0] as number) >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(bits.buffer)[0] as number;
}

describe("a file's own table", () => {
  const sigmas = Array.from(standard.sigmas);
  const zero = [...zeroTerminal.slice(0, 999), 0];
  const rows: readonly [what: string, mark: TestTensor, zeroTerminalSnr: boolean][] = [
    ['f32', tensor('alphas_cumprod', standard.alphasCumprod), false],
    ['f16', tensor('alphas_cumprod', standard.alphasCumprod, 'f16'), false],
    ['once bf16', tensor('alphas_cumprod', standard.alphasCumprod.map(toBfloat16)), false],
    ['sigmas in f32', tensor('denoiser.sigmas', sigmas), false],
    ['falling sigmas in f16', tensor('denoiser.sigmas', sigmas.toReversed(), 'f16'), false],
    ['zero terminal SNR, f32', tensor('alphas_cumprod', zero), true],
    ['zero terminal SNR, f16', tensor('alphas_cumprod', zero, 'f16'), true],
    ['zero terminal SNR of diffusers', tensor('alphas_cumprod', [...zero.slice(0, 999), 2 ** -24]), true],
  ];
  for (const [what, mark, zeroTerminalSnr] of rows) {
    it(`that is Stable Diffusion's but for rounding is that: ${what}`, async () => {
      await using model = await loadModel(marked([mark]), computing);
      const { noise, alphasCumprod } = model.info;
      assert.deepEqual([noise.zeroTerminalSnr, noise.schedule], [zeroTerminalSnr, 'scaled_linear']);
      assert.equal(alphasCumprod === undefined, !zeroTerminalSnr);
      if (zeroTerminalSnr) assertClose(model.sigmaTable.alphasCumprod, zeroTerminal, 1e-9);
      else assert.deepEqual(model.sigmaTable.alphasCumprod, standard.alphasCumprod);
    });
  }

  it('is otherwise used as it is, and changes the image', async () => {
    const table = Float32Array.from({ length: 500 }, (_, t) => 0.9995 * Math.exp(-6 * (t / 500) ** 2 - t / 1e4));
    await using model = await loadModel(marked([tensor('alphas_cumprod', table)]), computing);
    assert.deepEqual(model.sigmaTable.alphasCumprod, Float64Array.from(table));
    assert.deepEqual([model.info.noise.schedule, model.info.noise.steps], ['alphas_cumprod', 500]);
    await using plain = await loadModel(marked(), computing);
    assert.notDeepEqual(await generate(model), await generate(plain));
    await using zero = await loadModel(marked([tensor('alphas_cumprod', table)]), {
      ...computing,
      zeroTerminalSnr: true,
    });
    assert.ok(zero.sigmaTable.sigmaMax > 4000);
    assertClose([zero.sigmaTable.sigmaMin], [model.sigmaTable.sigmaMin], 1e-9);
  });
});

test('the user says what a file does not, or says wrong', async () => {
  const path = marked();
  const zsnr = marked([tensor('v_pred'), tensor('ztsnr')]);
  const rows: readonly [path: string, options: LoadOptions, prediction: string, zero: boolean][] = [
    [path, { zeroTerminalSnr: true, prediction: 'v' }, 'v', true],
    [path, { zeroTerminalSnr: false }, 'epsilon', false],
    [zsnr, { zeroTerminalSnr: false }, 'v', false],
    [configured({ prediction_type: 'sample' }), { prediction: 'v' }, 'v', false],
  ];
  for (const [file, options, prediction, zero] of rows) {
    const warnings: string[] = [];
    const logger = { warn: (message: string) => warnings.push(message) };
    await using model = await loadModel(file, { ...computing, ...options, logger });
    assert.deepEqual([model.info.prediction, model.info.noise.zeroTerminalSnr, warnings], [prediction, zero, []]);
    assertClose(model.sigmaTable.alphasCumprod, zero ? zeroTerminal : standard.alphasCumprod, 1e-9);
  }
  const wrong = loadModel(path, { zeroTerminalSnr: 'yes' as unknown as boolean });
  await assert.rejects(wrong, { code: 'ERR_INVALID_ARG_TYPE', message: /zeroTerminalSnr/ });
});

test('the command line says what noise a model was trained with, and takes what its file does not say', async () => {
  const { stdout } = await diffuse(['inspect', marked([tensor('v_pred'), tensor('ztsnr')])]);
  assert.match(String(stdout), /^predicts +v, 1000 noise levels \(scaled_linear, zero terminal SNR\)$/m);
  const small = [
    '-p',
    'x',
    '-W',
    '16',
    '-H',
    '16',
    '--steps',
    '1',
    '-o',
    '-',
    '-v',
    '-m',
    configured({ timestep_spacing: 'trailing' }),
  ];
  const { stderr } = await diffuse([...small, '--prediction', 'v', '--zero-terminal-snr']);
  assert.match(String(stderr), /predicts v;.*1000 noise levels \(scaled_linear, zero terminal SNR, spacing trailing\)/);
});

test('settings that are probably wrong or are ignored are reported', async () => {
  const reported = async (path: string, options: LoadOptions = {}) => {
    const warnings: string[] = [];
    await using _ = await loadModel(path, {
      ...computing,
      ...options,
      logger: { warn: (text) => warnings.push(text) },
    });
    return warnings.join();
  };
  assert.match(await reported(configured({ ...SD, rescale_betas_zero_snr: true })), /zero terminal SNR.*epsilon/);
  assert.match(await reported(marked(), { zeroTerminalSnr: true }), /option `prediction`/);
  assert.match(await reported(configured({ thresholding: true, clip_sample: true })), /'thresholding' 'clip_sample'/);
  assert.match(await reported(configured({ timestep_spacing: 'random' })), /'timestep_spacing' 'random'/);
  for (const spacing of ['trailing', 'random']) {
    const curve = configured({ use_karras_sigmas: true, timestep_spacing: spacing });
    assert.match(await reported(curve), new RegExp(`'timestep_spacing' '${spacing}'`));
  }
  assert.match(await reported(configured({ final_sigmas_type: 'sigma_min' })), /'final_sigmas_type' 'sigma_min'/);
  const messages: string[] = [];
  const logger = { info: (text: string) => messages.push(text) };
  await using _ = await loadModel(configured({ ...SD, timestep_spacing: 'leading' }), { ...computing, logger });
  assert.match(messages.join(), /'leading'.*begin with/);
});

test('the schedule that a folder asks for gives way to one that is asked for, and to that of a sampler', async () => {
  await using model = await loadModel(configured({ timestep_spacing: 'trailing' }), computing);
  assert.deepEqual([model.info.defaultScheduler, model.info.noise.spacing], ['simple', 'trailing']);
  const [own, simple, discrete] = await Promise.all(
    [{}, { scheduler: 'simple' as const }, { scheduler: 'discrete' as const }].map((options) =>
      generate(model, options),
    ),
  );
  assert.deepEqual(own, simple);
  assert.notDeepEqual(own, discrete);
  assert.deepEqual(
    await generate(model, { sampler: 'lcm' }),
    await generate(model, { sampler: 'lcm', scheduler: 'lcm' }),
  );
});

/** A table of its own with something wrong. */
function broken(change: (alphas: number[]) => unknown): TestTensor[] {
  const alphas = Array.from(standard.alphasCumprod, (alpha) => alpha ** 2);
  change(alphas);
  return [tensor('alphas_cumprod', alphas)];
}

describe('noise of another kind, and what says nothing sound of it, is refused by its name', () => {
  const files: readonly [what: string, marks: TestTensor[], message: RegExp][] = [
    ['CosXL', [tensor('edm_vpred.sigma_max', [120]), tensor('edm_vpred.sigma_min', [0.002])], /CosXL.*continuous/],
    ['Playground', [tensor('edm_mean', [0, 0, 0, 0]), tensor('edm_std', [1, 1, 1, 1])], /Playground v2\.5/],
    ['NaN', broken((a) => a.fill(Number.NaN, 500, 501)), /NaN|nan at training step 500/],
    ['infinity', broken((a) => a.fill(1 / 0, 0, 1)), /inf at training step 0/],
    ['a negative number', broken((a) => a.fill(-0.5, 999)), /-0\.5 at training step 999/],
    ['1 at first', broken((a) => a.fill(1, 0, 1)), /found 1 at training step 0/],
    ['rising numbers', broken((a) => a.reverse()), /at training step 1\./],
    ['one number twice', broken((a) => a.fill(a[7] as number, 8, 9)), /training step 8/],
    ['zeros', [tensor('alphas_cumprod', new Float32Array(1000))], /found 0 at training step 0/],
    ['a zero too soon', broken((a) => a.fill(0, 998)), /found 0 at training step 998/],
    ['no usable sigma', broken((a) => a.fill(1e-20, 999)), /1e-20/],
    ['too few numbers', [tensor('alphas_cumprod', [0.9, 0.5, 0.1])], /50 to 10000.*found 3 of the type f32/],
    ['too many numbers', [tensor('alphas_cumprod', new Float32Array(10_001))], /found 10001/],
    ['no number', [tensor('alphas_cumprod')], /found 0/],
    ['sigmas of NaN', [tensor('denoiser.sigmas', new Float32Array(1000).fill(Number.NaN))], /denoiser\.sigmas/],
  ];
  for (const [what, marks, message] of files) {
    it(what, async () => {
      const path = marked(marks);
      await assert.rejects(loadModel(path), { code: 'ERR_MODEL_UNSUPPORTED', message });
      const { mismatched, noise, unused } = await inspectModel(path);
      assert.match(mismatched.join(), message);
      assert.deepEqual([noise, unused], [undefined, []]);
    });
  }

  const huge = '1'.padEnd(400, '0');
  const schedulers: readonly [what: string, scheduler: object | string, message: RegExp][] = [
    ['flow matching', { _class_name: 'FlowMatchEulerDiscreteScheduler' }, /flow matching \('FlowMatchEuler/],
    ['flow sigmas', { ...SD, use_flow_sigmas: true }, /flow matching/],
    ['prediction of flow', { prediction_type: 'flow_prediction' }, /flow matching/],
    ['EDM', { _class_name: 'EDMEulerScheduler', sigma_data: 0.5 }, /EDM .*'EDMEulerScheduler'/],
    ['continuous timesteps', { ...SD, timestep_type: 'continuous' }, /EDM.*timestep_type/],
    ['the image predicted', { ...SD, prediction_type: 'sample' }, /predicts epsilon or v, found.*'sample'/],
    [
      'another schedule of betas',
      { beta_schedule: 'sigmoid' },
      /scaled_linear, linear or squaredcos_cap_v2.*'sigmoid'/,
    ],
    ['betas that are text', { ...SD, beta_start: '0.1' }, /a number above 0.* for beta_start .*found/],
    ['betas that are a list', { ...SD, beta_end: [0.1] }, /a number above 0.* for beta_end .*found/],
    ['betas that are an object', { ...SD, beta_end: {} }, /a number above 0.* for beta_end .*found/],
    ['negative betas', { ...SD, beta_start: -0.1 }, /beta_start .*found -0\.1/],
    ['betas of 0', { ...SD, beta_start: 0 }, /beta_start/],
    ['falling betas', { ...SD, beta_start: 0.5 }, /beta_end/],
    ['betas above 1', { ...SD, beta_end: 2 }, /beta_end/],
    ['betas of NaN', '{"beta_start": NaN}', /a number above 0.* for beta_start .*found/],
    ['betas of Infinity', '{"beta_end": Infinity}', /a number above 0.* for beta_end .*found/],
    ['betas that leave nothing of an image', { beta_schedule: 'linear', beta_end: 0.9 }, /at training step/],
    ['no steps', { ...SD, num_train_timesteps: 0 }, /50 to 10000 for num_train_timesteps/],
    ['a million steps', { ...SD, num_train_timesteps: 1e6 }, /num_train_timesteps/],
    ['half a step', { ...SD, num_train_timesteps: 1000.5 }, /num_train_timesteps/],
    ['trained betas that are too few', { trained_betas: [0.1, 0.2] }, /trained_betas/],
    [
      'trained betas of another number',
      { trained_betas: Array(100).fill(0.01), num_train_timesteps: 50 },
      /trained_betas/,
    ],
    ['trained betas that are text', { trained_betas: ['0.1'] }, /a list of numbers for trained_betas/],
    ['trained betas in a list', { trained_betas: [[0.1]] }, /a list of numbers for trained_betas/],
    ['trained betas below 0', { trained_betas: Array(1000).fill(-0.1) }, /trained_betas/],
    ['a switch that is text', { ...SD, rescale_betas_zero_snr: 'true' }, /true or false for rescale_betas_zero_snr/],
    ['a kind of prediction that is a number', { prediction_type: 1 }, /a string for prediction_type/],
    ['a number without end', `{"beta_start": ${huge}.5}`, /beta_start|malformed/],
  ];
  for (const [what, scheduler, message] of schedulers) {
    it(`a scheduler's configuration with ${what}`, async () => {
      const path = configured(scheduler);
      await assert.rejects(loadModel(path), (error: Error & { code: string }) => {
        assert.match(error.code, /^ERR_MODEL_(UNSUPPORTED|CORRUPT)$/);
        assert.match(error.message, message);
        return true;
      });
    });
  }
});
