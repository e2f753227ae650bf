// Generation parameters as AUTOMATIC1111's web UI, Forge and stable-diffusion.cpp write them, and what can go wrong with them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerationParameters } from '../../lib/image/generation-parameters.ts';
import { readInfotext } from '../../lib/metadata/infotext.ts';
import { type ImageMetadata, interpret } from '../../lib/metadata/interpret.ts';
import { formatParameters } from '../../lib/metadata/parameters.ts';
import { golden } from '../support/golden.ts';

const read = (text: string) => interpret(readInfotext(text));
const END = 'Steps: 4, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64, Model: m';

test('white space around the text and around its lines is nothing', () => {
  const text = `a red apple\nNegative prompt: blurry\n${END}`;
  const variants = [
    text,
    `${text}\n`,
    `\n\n${text}\n \n`,
    text.replaceAll('\n', '\r\n'),
    `${text.replaceAll('\n', '\r\n')}\r\n`,
    `  a red apple  \n   Negative prompt:blurry\t\n  ${END}  `,
  ];
  for (const variant of variants) {
    const { prompt, negativePrompt, steps, seed, model, width, warnings } = read(variant);
    assert.deepEqual(
      { prompt, negativePrompt, steps, seed, model, width, warnings },
      { prompt: 'a red apple', negativePrompt: 'blurry', steps: 4, seed: 1, model: 'm', width: 64, warnings: [] },
      JSON.stringify(variant),
    );
  }
});

// Golden file: test/reference/infotext.py WEBUI.
test('the web UI and this package read back what this package writes', () => {
  interface Case {
    parameters: GenerationParameters;
    text: string;
    read: Record<string, string>;
  }
  for (const { parameters, text, read: webUi } of golden<Case[]>('infotext.json')) {
    assert.equal(formatParameters(parameters), text);
    const { prompt, negativePrompt, model, version } = parameters;
    const expected = { prompt, negativePrompt, model, version };
    const { Prompt, 'Negative prompt': Negative, Model, Version } = webUi;
    assert.deepEqual({ prompt: Prompt, negativePrompt: Negative, model: Model, version: Version }, expected, text);
    const ours = read(text);
    assert.deepEqual(
      { prompt: ours.prompt, negativePrompt: ours.negativePrompt, model: ours.model, version: ours.fields.Version },
      expected,
    );
    for (const [key, value] of Object.entries(ours.fields)) {
      // The web UI takes sizes apart, and adds what it takes for granted.
      if (!/^\d+x\d+$/.test(value)) assert.equal(webUi[key], value, key);
    }
  }
});

test('prompts are the lines before the last, from the line of the negative prompt on', () => {
  const prompts: [text: string, prompt: string, negativePrompt: string][] = [
    [`one\n two\n\nthree\nNegative prompt: four\n five\n${END}`, 'one\ntwo\n\nthree', 'four\nfive'],
    [`a cat\nSteps: 1, Sampler: x, Seed: 2\n${END}`, 'a cat\nSteps: 1, Sampler: x, Seed: 2', ''],
    [`a\nNegative prompt: b\nNegative prompt: c\n${END}`, 'a', 'b\nc'],
    [`a, Negative prompt: b\n${END}`, 'a, Negative prompt: b', ''],
    [`Negative prompt: b\n${END}`, '', 'b'],
    [END, '', ''],
    ['a caption, nothing: else', 'a caption, nothing: else', ''],
    ['a\nNegative prompt: b', 'a', 'b'],
    ['', '', ''],
  ];
  for (const [text, prompt, negativePrompt] of prompts) {
    const metadata = read(text);
    assert.deepEqual([metadata.prompt, metadata.negativePrompt], [prompt, negativePrompt], text);
  }
});

test('a value in quotes is JSON, any other ends at its comma', () => {
  const fields: [text: string, Record<string, string>][] = [
    ['Wildcard: a 6" nail, CFG scale: 7', { Wildcard: 'a 6" nail', 'CFG scale': '7' }],
    ['Hires prompt: "a, \\"b\\": c", Model: m', { 'Hires prompt': 'a, "b": c', Model: 'm' }],
    ['Lora hashes: "x: 1a, y: 2b", Model: m', { 'Lora hashes': 'x: 1a, y: 2b', Model: 'm' }],
    ['Model: "quoted" and not, Seed: 1', { Model: '"quoted" and not', Seed: '1' }],
    ['Model: "never closed, Seed: 1', { Model: '"never closed', Seed: '1' }],
    ['Model: "bad \\x escape", Seed: 1', { Model: '"bad \\x escape"', Seed: '1' }],
    ['Model: a\\, Seed: 1', { Model: 'a\\', Seed: '1' }],
    ['Note: , Seed: 1', { Note: '', Seed: '1' }],
    ['Note: "", Seed: 1', { Note: '', Seed: '1' }],
    ['no pair, Seed: 1, {"a": 2}, Model: m', { Seed: '1', Model: 'm' }],
    ['Seed: 1, Text: x, Seed: 2', { Seed: '1', Text: 'x' }],
    ['__proto__: x, Seed: 1', JSON.parse('{"__proto__": "x", "Seed": "1"}')],
  ];
  for (const [text, expected] of fields) {
    const { fields } = read(`a\n${text}, Pad one: 1, Pad two: 2`);
    assert.deepEqual(
      fields,
      Object.defineProperties(
        {},
        Object.getOwnPropertyDescriptors({ ...JSON.parse(JSON.stringify(expected)), 'Pad one': '1', 'Pad two': '2' }),
      ),
      text,
    );
  }
  assert.equal(({} as { x?: unknown }).x, undefined);
});

test('images of other programs become options of ours', () => {
  const texts: [string, Partial<ImageMetadata>][] = [
    [
      'cat\nSteps: 30, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 5, Size: 512x768, Model hash: abc, RNG: GPU',
      { sampler: 'dpm++2m', scheduler: 'karras', rng: 'cuda', width: 512, height: 768, software: undefined },
    ],
    [
      'cat\nSteps: 30, Sampler: DPM++ 2M, Schedule type: Automatic, CFG scale: 7, Seed: 5, Size: 512x768, RNG: CPU, Version: v1.10.1',
      { sampler: 'dpm++2m', scheduler: 'karras', rng: 'cpu', software: 'Stable Diffusion web UI v1.10.1' },
    ],
    [
      'cat\nSteps: 30, Sampler: DPM++ 2M SDE, Schedule type: Automatic, CFG scale: 7, Seed: 5, Version: f2.0.1v1.10.1-previous-313-g8a042934',
      { sampler: 'dpm++2m_sde', scheduler: 'exponential' },
    ],
    [
      'cat\nSteps: 30, Sampler: DPM++ 2M Karras, Schedule type: Automatic, Seed: 5',
      { sampler: 'dpm++2m', scheduler: 'karras' },
    ],
    [
      'cat\nSteps: 20, Sampler: Euler a, CFG scale: 6, Seed: 5, Size-1: 64, Size-2: 48, Size: 64x48, App: SD.Next, Version: 1a2b3c4, Operations: txt2img',
      { sampler: 'euler_a', width: 64, height: 48, software: 'SD.Next 1a2b3c4' },
    ],
    [
      'cat\nSteps: 20, Sampler: Euler a, Seed: 5, Clip skip: 2, Created Date: 2024-05-01T10:00:00Z, Civitai resources: [{"type":"checkpoint","modelVersionId":290640,"modelName":"V6 (start, here): XL"}], Civitai metadata: {}',
      { sampler: 'euler_a', seed: 5, clipSkip: 2 },
    ],
    ['cat\nSteps: 4, Schedule type: Automatic, CFG scale: 7, Seed: 5', { sampler: undefined, scheduler: undefined }],
    ['cat\nSteps: 4, Sampler: DPM++ 2M, CFG scale: 7, Seed: 5', { sampler: 'dpm++2m', scheduler: undefined }],
    [
      'cat\nSteps: 30, Sampler: DPM++ 2M SDE Karras, Seed: 5, Size: 896x1152, Clip skip: 2, Scheduler: karras, Version: Fooocus v2.5.5',
      { sampler: 'dpm++2m_sde', scheduler: 'karras', clipSkip: 2, software: 'Fooocus v2.5.5' },
    ],
    [
      'cat\nNegative prompt: dog\nSteps: 20, CFG scale: 7.000000, Guidance: 3.500000, Eta: inf, Seed: 42, Size: 512x512, Model: x.gguf, RNG: cuda, Sampler: euler_a discrete, Version: stable-diffusion.cpp, SDCPP: {"seed":1,"sampler":"x"}',
      { sampler: 'euler_a', scheduler: 'discrete', rng: 'cuda', seed: 42, software: 'stable-diffusion.cpp' },
    ],
    [
      'cat\nSteps: 2, CFG scale: 7.0, Eta: 0.5, Seed: 42, Size: 512x512, Sampler: euler_a, Custom Sigmas: [14.6000, 2.5000, 0.0000], Version: stable-diffusion.cpp',
      { sampler: 'euler_a', scheduler: [14.6, 2.5, 0], steps: 2 },
    ],
  ];
  for (const [eta, version, expected] of [
    ['inf', 'stable-diffusion.cpp', undefined],
    ['0.000000', 'stable-diffusion.cpp', undefined],
    ['0.500000', 'stable-diffusion.cpp', 0.5],
    ['0', 'v1.10.1', 0],
  ] as const) {
    assert.equal(read(`a\n${END}, Eta: ${eta}, Version: ${version}`).options.eta, expected);
  }
  for (const [text, expected] of texts) {
    const metadata = read(text);
    for (const [key, value] of Object.entries(expected)) {
      assert.deepEqual(metadata[key as keyof ImageMetadata], value, `${key} of ${text}`);
    }
    assert.deepEqual(metadata.warnings, [], text);
  }
});

test('a second pass becomes the option hires', () => {
  const passes: [string, ImageMetadata['options']['hires']][] = [
    [
      'Denoising strength: 0.5, Hires upscale: 2, Hires steps: 10, Hires upscaler: Latent',
      { scale: 2, steps: 10, denoisingStrength: 0.5, upscaler: 'latent' },
    ],
    [
      'Denoising strength: 0.4, Hires resize: 96x128, Hires upscaler: Lanczos',
      { width: 96, height: 128, denoisingStrength: 0.4, upscaler: 'lanczos' },
    ],
    [
      'Hires upscale: Latent (nearest), Hires scale: 2.000000, Hires resize: 0x0, Hires steps: 0, Denoising strength: 0.700000',
      { scale: 2, denoisingStrength: 0.7, upscaler: 'latent-nearest' },
    ],
  ];
  for (const [fields, hires] of passes) {
    const { options, warnings } = read(`a\n${END}, ${fields}`);
    assert.deepEqual([options.hires, warnings], [hires, []], fields);
  }
  const { options, warnings } = read(`a\n${END}, Denoising strength: 0.5, Hires upscaler: R-ESRGAN 4x+`);
  assert.equal(options.hires, undefined);
  assert.match(warnings.join(), /upscaler 'R-ESRGAN 4x\+'/);
});

test('seeds of 64 bits are exact', () => {
  const seeds: [string, number | bigint][] = [
    ['0', 0],
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['9007199254740993', 9007199254740993n],
    ['18446744073709551615', 18446744073709551615n],
  ];
  for (const [text, seed] of seeds) {
    const { seed: read_, options, warnings } = read(`a\n${END.replace('Seed: 1', `Seed: ${text}`)}`);
    assert.deepEqual([read_, options.seed, warnings], [seed, seed, []]);
  }
});

test('what no call accepts is left out and reported', () => {
  const untaken: [string, keyof ImageMetadata['options'], RegExp][] = [
    ['Seed: -1', 'seed', /for seed but the image says '-1'/],
    ['Seed: -5', 'seed', /for seed/],
    ['Seed: 1.5', 'seed', /for seed/],
    ['Seed: 18446744073709551616', 'seed', /for seed/],
    ['Seed: many', 'seed', /for seed/],
    ['Steps: 0', 'steps', /from 1 to 1000 for steps/],
    ['Steps: 4.5', 'steps', /for steps/],
    ['Size: 0x64', 'width', /for width/],
    ['Size: 64x99999', 'width', /for height/],
    ['Size: 16000x16000', 'height', /pixels in all/],
    ['CFG scale: -1', 'cfgScale', /for cfgScale/],
    ['CFG scale: NaN', 'cfgScale', /for cfgScale/],
    ['Clip skip: 0', 'clipSkip', /for clipSkip/],
    ['Eta: 2', 'eta', /for eta/],
    ['RNG: std_default', 'rng', /random generator 'std_default'/],
    ['Sampler: UniPC', 'sampler', /sampler 'UniPC', which is unknown here\. .*nearest is 'dpm\+\+2m'/],
    ['Sampler: DPM++ SDE', 'sampler', /nearest is 'dpm\+\+2s_a'/],
    ['Sampler: DDIM', 'sampler', /nearest is 'ddim_trailing'/],
    ['Schedule type: DDIM', 'scheduler', /scheduler 'DDIM', which is unknown/],
    ['Schedule type: Turbo', 'scheduler', /nearest is 'simple'/],
    ['Guidance interval: 0.5', 'guidanceInterval', /for guidanceInterval/],
  ];
  for (const [field, option, warning] of untaken) {
    const [key] = field.split(':') as [string];
    const line = END.split(', ').filter((other) => !other.startsWith(`${key}:`));
    const metadata = read(`a\n${[...line, field].join(', ')}`);
    assert.equal(metadata.options[option], undefined, field);
    assert.equal(metadata[option as keyof ImageMetadata], undefined, field);
    assert.match(metadata.warnings.join('\n'), warning, field);
  }
});

test('a schedule is kept where the sampler is not here', () => {
  const method = (schedule: string) => {
    const { sampler, scheduler } = read(`a\nSteps: 4, Sampler: UniPC, Schedule type: ${schedule}, Seed: 1`);
    return [sampler, scheduler];
  };
  assert.deepEqual(method('Karras'), [undefined, 'karras']);
  assert.deepEqual(method('Automatic'), [undefined, undefined]);
});

test('what affects the image besides options is reported', () => {
  const reported: [string, RegExp][] = [
    [
      'Variation seed: 2, Variation seed strength: 0.1, ENSD: 31337',
      /not followed here: Variation seed, Variation seed strength, ENSD/,
    ],
    ['Schedule rho: 5', /Schedule rho/],
    ['ControlNet 0: "Module: canny, Model: x"', /ControlNet 0/],
    ['Denoising strength: 0.6', /from another image/],
    ['Denoising strength: 6', /for strength/],
    ['Loras: "x.safetensors: 0.8 (2 of 2 tensors)"', /LoRAs whose files must be given again: x\.safetensors: 0\.8/],
  ];
  for (const [fields, warning] of reported) assert.match(read(`a\n${END}, ${fields}`).warnings.join('\n'), warning);
  assert.match(read(`a cat <lora:fur:0.8>\n${END}`).warnings.join('\n'), /names LoRAs/);
  assert.match(read(`${'a'.repeat(70_000)}\n${END}`).warnings.join(), /at most 65536 characters for prompt/);
});

test('a hostile text takes no more than its length in time', () => {
  const hostile = [
    ...[
      'a '.repeat(2e6),
      'a: "'.repeat(1e6),
      'aa: "'.repeat(1e6),
      'a b:,'.repeat(1e6),
      '\n'.repeat(4e6),
      '"\\'.repeat(2e6),
    ],
    ...[`a\naa: "${'\\'.repeat(4e6)}`, `a\naa:${' '.repeat(4e6)}x, bb: 1, cc: 2`, 'Negative prompt:\n'.repeat(2e5)],
    ...[`a\n${'Custom Sigmas: [1,'.repeat(2e5)}`, `a\n${END}, Seed: ${'9'.repeat(1e6)}`, 'aa: 1,'.repeat(5e5)],
    ...[`a\n${END.replace('Euler a', 'E'.repeat(1e6))}`],
  ];
  // Anything but one pass would take hours.
  for (const text of hostile) assert.equal(read(text).raw, text);
});
