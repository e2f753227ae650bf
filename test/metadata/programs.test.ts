// Generation parameters that other programs write as JSON: whose they are, what is read of them, and what is said of the rest.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageMetadata } from '../../lib/metadata/interpret.ts';
import { readStatement } from '../../lib/metadata/texts.ts';
import { checkFields, read } from '../support/metadata-texts.ts';

test('SwarmUI is read, with its own sampler where none was chosen', () => {
  const params = {
    ...{
      prompt: 'a photo of a cat',
      model: 'OfficialStableDiffusion/sd_xl_base_1.0',
      seed: 1,
      steps: 20,
      cfgscale: 7.0,
    },
    ...{ aspectratio: '1:1', width: 1024, height: 1024, negativeprompt: '', swarm_version: '0.9.3.1' },
  };
  const sui_extra_data = { date: '2025-01-25', generation_time: '4.84 sec' };
  checkFields(read({ parameters: JSON.stringify({ sui_image_params: params, sui_extra_data }, undefined, 2) }), {
    ...{ software: 'SwarmUI 0.9.3.1', prompt: 'a photo of a cat', seed: 1, steps: 20, cfgScale: 7, width: 1024 },
    ...{ sampler: 'euler', scheduler: 'discrete', model: 'OfficialStableDiffusion/sd_xl_base_1.0', warnings: [] },
  });
  const chosen = {
    ...params,
    sampler: 'dpmpp_2m_sde_gpu',
    scheduler: 'karras',
    seed: '9223372036854775807',
    clipstopatlayer: '-2',
  };
  checkFields(read({ parameters: { sui_image_params: chosen } }), {
    ...{ sampler: 'dpm++2m_sde', scheduler: 'karras', seed: 9223372036854775807n, clipSkip: 2 },
  });
  const { warnings } = read({ parameters: { sui_image_params: { ...params, loras: 'x', variationseed: 5 } } });
  assert.match(warnings.join(), /not followed here: loras, variationseed/);
});

test('Fooocus is read, in its newer and older form', () => {
  const newer = {
    ...{ prompt: 'a red apple', negative_prompt: 'blurry', full_prompt: ['cinematic still a red apple'], steps: 30 },
    ...{ styles: "['Fooocus V2']", performance: 'Speed', resolution: '(896, 1152)', guidance_scale: 4, sharpness: 2 },
    ...{ adm_guidance: '(1.5, 0.8, 0.3)', base_model: 'juggernautXL_v8', refiner_model: 'None', clip_skip: 2 },
    ...{ sampler: 'dpmpp_2m_sde_gpu', scheduler: 'karras', seed: '4763839472384729384', version: 'Fooocus v2.5.5' },
    ...{ loras: [], vae: 'Default (model)', metadata_scheme: 'fooocus' },
  };
  const metadata = read({ parameters: newer, fooocus_scheme: 'fooocus' });
  checkFields(metadata, {
    ...{ software: 'Fooocus v2.5.5', prompt: 'a red apple', negativePrompt: 'blurry', steps: 30, cfgScale: 4 },
    ...{ sampler: 'dpm++2m_sde', scheduler: 'karras', seed: 4763839472384729384n, width: 896, height: 1152 },
    ...{ clipSkip: 2, model: 'juggernautXL_v8' },
  });
  assert.match(metadata.warnings.join(), /not followed here: styles, sharpness, adm_guidance$/);
  const older = {
    ...{ Prompt: 'a red apple', 'Negative Prompt': '', Styles: '[]', Performance: 'Speed', Resolution: '(1152, 896)' },
    ...{ 'Guidance Scale': 7, Sampler: 'euler', Scheduler: 'normal', Seed: 123, 'Base Model': 'm.safetensors' },
  };
  checkFields(read({ parameters: older }), {
    ...{ software: 'Fooocus', prompt: 'a red apple', cfgScale: 7, seed: 123, width: 1152, height: 896 },
    ...{ sampler: 'euler', scheduler: 'discrete', warnings: [] },
  });
});

test('others of its kind are read by the words that they share', () => {
  const space = {
    ...{
      prompt: 'a cat',
      negative_prompt: 'bad',
      resolution: '832 x 1216',
      guidance_scale: 7,
      num_inference_steps: 28,
    },
    ...{ seed: 5, sampler: 'Euler a' },
  };
  checkFields(read({ parameters: space }), {
    ...{ prompt: 'a cat', width: 832, height: 1216, steps: 28, sampler: 'euler_a', seed: 5, warnings: [] },
  });
  const ruined = {
    ...{ Prompt: 'a cat', Negative: 'bad', steps: 30, cfg: 8, width: 64, height: 128, seed: 1 },
    ...{ sampler_name: 'dpmpp_2m', scheduler: 'karras', base_model_name: 'x.safetensors', software: 'RuinedFooocus' },
  };
  checkFields(read({ parameters: ruined }), {
    ...{ software: 'RuinedFooocus', negativePrompt: 'bad', cfgScale: 8, sampler: 'dpm++2m', height: 128 },
  });
});

test('InvokeAI is read, 3 and 2', () => {
  const metadata = {
    ...{ app_version: '5.4.2', generation_mode: 'txt2img', positive_prompt: 'a castle', negative_prompt: 'blurry' },
    ...{ width: 768, height: 432, seed: 356120443, rand_device: 'cpu', cfg_scale: 7.5, steps: 50 },
    ...{ scheduler: 'dpmpp_2m_sde_k', clip_skip: 1, model: { name: 'amixx', base: 'sd-1', type: 'main' } },
    ...{ controlnets: [], loras: [], vae: null },
  };
  checkFields(read({ invokeai_metadata: metadata, invokeai_graph: '{}' }), {
    ...{ software: 'InvokeAI 5.4.2', prompt: 'a castle', negativePrompt: 'blurry', steps: 50, cfgScale: 7.5 },
    ...{ sampler: 'dpm++2m_sde', scheduler: 'karras', clipSkip: 2, rng: 'cpu', model: 'amixx', warnings: [] },
  });
  const older = {
    ...{ model: 'stable diffusion', model_weights: 'analog', app_id: 'invoke-ai/InvokeAI', app_version: 'v2.2.4' },
    image: {
      ...{ prompt: [{ prompt: 'a robot reading [blurry, text]', weight: 1 }], steps: 50, cfg_scale: 12, threshold: 0 },
      ...{ height: 768, width: 512, seed: 2502935700, type: 'txt2img', sampler: 'k_euler_a', variations: [] },
    },
  };
  checkFields(read({ 'sd-metadata': older, Dream: 'x' }), {
    ...{ software: 'InvokeAI v2.2.4', prompt: 'a robot reading', negativePrompt: 'blurry, text', seed: 2502935700 },
    ...{ sampler: 'euler_a', cfgScale: 12, model: 'analog', warnings: [] },
  });
});

test('NovelAI is read, from PNG and WebP', () => {
  const comment = {
    ...{
      prompt: '1girl, silver hair',
      steps: 28,
      height: 1216,
      width: 832,
      scale: 5,
      cfg_rescale: 0.4,
      seed: 3816166865,
    },
    ...{
      n_samples: 1,
      noise_schedule: 'karras',
      sampler: 'k_euler_ancestral',
      sm: false,
      uc: 'lowres',
      request_type: 'PromptGenerateRequest',
    },
  };
  const expected: Partial<ImageMetadata> = {
    ...{
      software: 'NovelAI',
      prompt: '1girl, silver hair',
      negativePrompt: 'lowres',
      sampler: 'euler_a',
      scheduler: 'karras',
    },
    ...{ seed: 3816166865, steps: 28, cfgScale: 5, width: 832, height: 1216, warnings: [] },
  };
  checkFields(read({ Comment: comment, Software: 'NovelAI', Description: '1girl' }), expected);
  checkFields(read({ parameters: { Software: 'NovelAI', Comment: JSON.stringify(comment) } }), expected);
  const { prompt: _, ...before } = comment;
  checkFields(read({ Comment: before, Software: 'NovelAI', Description: '{1girl}' }), { prompt: '{1girl}' });
});

test('JSON that nobody knows is no prompt', () => {
  const texts: [string, RegExp][] = [
    ['{"a": 1, "b": {"c": []}}', /JSON of a program that is unknown here/],
    ['{}', /unknown here/],
    ['{"sui_image_params": {"prompt": "a c', /JSON that is damaged/],
    ['{"prompt": {"__proto__": {"steps": 5}}, "__proto__": {"steps": 7}}', /unknown here/],
    [`{"a": ${'['.repeat(3e5)}`, /damaged/],
    [`{"a": ${'{"a":'.repeat(2e5)}1${'}'.repeat(2e5)}}`, /unknown here|damaged/],
  ];
  for (const [parameters, warning] of texts) {
    const metadata = read({ parameters });
    checkFields(metadata, { prompt: '', negativePrompt: '', steps: undefined, raw: parameters });
    assert.match(metadata.warnings.join('\n'), warning);
  }
  assert.equal(read({ parameters: '{a|b} cat' }).prompt, '{a|b} cat');
  assert.equal(read({ parameters: '{"a cat"}\nSteps: 4, Sampler: Euler, Seed: 1' }).prompt, '{"a cat"}');
  for (const texts of [
    {},
    { prompt: 'a cat' },
    { prompt: '{}' },
    { Comment: 'drawn by hand' },
    { Comment: '{"x": 1}' },
  ]) {
    assert.equal(readStatement(new Map(Object.entries(texts))), undefined);
  }
});
