// Generation parameters that other programs write as JSON: whose they are, what is read of them, and what is said of the rest.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ImageMetadata, interpret } from '../../lib/metadata/interpret.ts';
import { readStatement } from '../../lib/metadata/texts.ts';

function read(texts: Readonly<Record<string, unknown>>): ImageMetadata {
  const entries = Object.entries(texts).map(
    ([key, text]) => [key, typeof text === 'string' ? text : JSON.stringify(text)] as const,
  );
  const statement = readStatement(new Map(entries));
  assert.ok(statement);
  return interpret(statement);
}

function checkFields(metadata: ImageMetadata, expected: Partial<ImageMetadata>): void {
  for (const [key, value] of Object.entries(expected))
    assert.deepEqual(metadata[key as keyof ImageMetadata], value, key);
}

const txt2img = {
  3: {
    class_type: 'KSampler',
    inputs: {
      ...{ seed: 156680208700286, steps: 20, cfg: 8, sampler_name: 'dpmpp_2m', scheduler: 'karras', denoise: 1 },
      ...{ model: ['4', 0], positive: ['6', 0], negative: ['7', 0], latent_image: ['5', 0] },
    },
  },
  4: { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'v1-5-pruned-emaonly.safetensors' } },
  5: { class_type: 'EmptyLatentImage', inputs: { width: 512, height: 768, batch_size: 1 } },
  6: { class_type: 'CLIPTextEncode', inputs: { text: 'a red apple', clip: ['4', 1] } },
  7: { class_type: 'CLIPTextEncode', inputs: { text: 'text, watermark', clip: ['4', 1] } },
  8: { class_type: 'VAEDecode', inputs: { samples: ['3', 0], vae: ['4', 2] } },
  9: { class_type: 'SaveImage', inputs: { filename_prefix: 'ComfyUI', images: ['8', 0] } },
};

/** The graph with other inputs of a node, and other nodes. */
function graph(inputs: Readonly<Record<string, object>>, nodes: object = {}): object {
  const changed = Object.entries(inputs).map(([id, more]) => {
    const node = txt2img[id as unknown as keyof typeof txt2img];
    return [id, { ...node, inputs: { ...node.inputs, ...more } }];
  });
  return { ...txt2img, ...Object.fromEntries(changed), ...nodes };
}

test("ComfyUI's graph is read at its sampler", () => {
  const metadata = read({ prompt: txt2img, workflow: '{"nodes":[]}' });
  checkFields(metadata, {
    ...{ software: 'ComfyUI', prompt: 'a red apple', negativePrompt: 'text, watermark', steps: 20, cfgScale: 8 },
    ...{ sampler: 'dpm++2m', scheduler: 'karras', seed: 156680208700286, width: 512, height: 768, rng: 'cpu' },
    ...{ model: 'v1-5-pruned-emaonly.safetensors', strength: undefined, clipSkip: undefined, warnings: [] },
  });
});

test('links of a graph are followed', () => {
  const cases: [name: string, graph: object, Partial<ImageMetadata>, RegExp?][] = [
    ['seeds of 64 bits', graph({ 3: { seed: '@18446744073709551615' } }), { seed: 18446744073709551615n }],
    [
      'ddim, which is euler',
      graph({ 3: { sampler_name: 'ddim', scheduler: 'normal' } }),
      { sampler: 'euler', scheduler: 'discrete' },
    ],
    [
      'a method that is not here',
      graph({ 3: { sampler_name: 'uni_pc' } }),
      { sampler: undefined },
      /'uni_pc', which is unknown/,
    ],
    [
      'a schedule that is not here',
      graph({ 3: { scheduler: 'ddim_uniform' } }),
      { scheduler: undefined },
      /'ddim_uniform'/,
    ],
    [
      'values of other nodes',
      graph(
        { 3: { seed: ['20', 0], steps: ['21', 0] }, 6: { text: ['22', 0] } },
        {
          20: { class_type: 'Seed (rgthree)', inputs: { seed: 42 } },
          21: { class_type: 'PrimitiveInt', inputs: { value: 7 } },
          22: { class_type: 'PrimitiveStringMultiline', inputs: { value: 'a pear' } },
        },
      ),
      { seed: 42, steps: 7, prompt: 'a pear' },
    ],
    [
      'LoRAs and the layer of the text encoder',
      graph(
        { 3: { model: ['20', 0] }, 6: { clip: ['21', 0] } },
        {
          20: {
            class_type: 'LoraLoader',
            inputs: { lora_name: 'x.safetensors', strength_model: 0.8, model: ['4', 0], clip: ['4', 1] },
          },
          21: { class_type: 'CLIPSetLastLayer', inputs: { stop_at_clip_layer: -2, clip: ['20', 1] } },
        },
      ),
      { clipSkip: 2, model: 'v1-5-pruned-emaonly.safetensors' },
      /LoRAs whose files must be given again: x\.safetensors/,
    ],
    [
      'a picture to start from',
      graph(
        { 3: { denoise: 0.6, latent_image: ['20', 0] } },
        {
          20: { class_type: 'VAEEncode', inputs: { pixels: ['21', 0], vae: ['4', 2] } },
          21: { class_type: 'LoadImage', inputs: { image: 'example.png' } },
        },
      ),
      { strength: 0.6, width: undefined },
      /from another picture/,
    ],
    [
      'a second sampler',
      graph(
        {},
        {
          20: { class_type: 'LatentUpscale', inputs: { width: 1024, height: 1536, samples: ['3', 0] } },
          21: {
            class_type: 'KSampler',
            inputs: { ...txt2img[3].inputs, seed: 2, denoise: 0.5, latent_image: ['20', 0] },
          },
        },
      ),
      { seed: 156680208700286, width: 512 },
      /2 samplers; only the first is read/,
    ],
    [
      'two samplers side by side',
      graph({}, { 20: txt2img[3] }),
      { seed: undefined, prompt: '', software: 'ComfyUI' },
      /2 samplers to begin with \(KSampler\); none is read/,
    ],
    [
      'a ControlNet',
      graph(
        { 3: { positive: ['20', 0] } },
        {
          20: {
            class_type: 'ControlNetApplyAdvanced',
            inputs: { positive: ['6', 0], negative: ['7', 0], strength: 1 },
          },
        },
      ),
      { prompt: 'a red apple' },
      /not followed here: ControlNetApplyAdvanced/,
    ],
    [
      'prompts that are put together',
      graph(
        { 3: { positive: ['20', 0] } },
        { 20: { class_type: 'ConditioningCombine', inputs: { conditioning_1: ['6', 0] } } },
      ),
      { prompt: '', negativePrompt: 'text, watermark' },
      /positive prompt comes from ConditioningCombine, where it is not found/,
    ],
    [
      'a sampler of parts',
      graph(
        {},
        {
          3: {
            class_type: 'SamplerCustomAdvanced',
            inputs: {
              noise: ['20', 0],
              guider: ['21', 0],
              sampler: ['22', 0],
              sigmas: ['23', 0],
              latent_image: ['5', 0],
            },
          },
          20: { class_type: 'RandomNoise', inputs: { noise_seed: 99 } },
          21: { class_type: 'CFGGuider', inputs: { cfg: 5, model: ['4', 0], positive: ['6', 0], negative: ['7', 0] } },
          22: { class_type: 'KSamplerSelect', inputs: { sampler_name: 'euler_ancestral' } },
          23: {
            class_type: 'BasicScheduler',
            inputs: { scheduler: 'sgm_uniform', steps: 12, denoise: 1, model: ['4', 0] },
          },
        },
      ),
      { seed: 99, cfgScale: 5, sampler: 'euler_a', scheduler: 'sgm_uniform', steps: 12, prompt: 'a red apple' },
    ],
    [
      'a loop of links',
      graph(
        { 3: { positive: ['20', 0], steps: ['21', 0] } },
        {
          20: { class_type: 'Reroute', inputs: { conditioning: ['20', 0] } },
          21: { class_type: 'Loop', inputs: { value: ['21', 0] } },
        },
      ),
      { prompt: '', steps: undefined },
      /positive prompt comes from Reroute/,
    ],
    [
      'links to nothing',
      graph({ 3: { positive: ['77', 0], model: ['__proto__', 0] } }),
      { prompt: '' },
      /comes from no node/,
    ],
    [
      'another graph',
      { 1: { class_type: 'LoadImage', inputs: { image: 'x' } } },
      { software: 'ComfyUI', steps: undefined },
      /0 samplers/,
    ],
    [
      'weights of words',
      graph({ 6: { text: 'a (red:1.2) apple' } }),
      { prompt: 'a (red:1.2) apple' },
      /Brackets .* ComfyUI/,
    ],
    ['a batch', graph({ 5: { batch_size: 4 } }), {}, /in a batch/],
  ];
  for (const [name, nodes, expected, warning] of cases) {
    const metadata = read({ prompt: JSON.stringify(nodes).replace(/"@(\d+)"/, '$1') });
    checkFields(metadata, expected);
    if (warning) assert.match(metadata.warnings.join('\n'), warning, name);
    else assert.deepEqual(metadata.warnings, [], name);
  }
});

test('the values that Python writes and JSON does not have do no harm', () => {
  const text = JSON.stringify(graph({ 3: { is_changed: '@', cfg: '@', seed: '@7' } }))
    .replace('"is_changed":"@"', '"is_changed":[NaN, -Infinity]')
    .replace('"cfg":"@"', '"cfg":7.5')
    .replace('"@7"', '12345678901234567890');
  checkFields(read({ prompt: text }), { seed: 12345678901234567890n, cfgScale: 7.5, prompt: 'a red apple' });
});

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

test('hostile JSON takes no more than its length in time', () => {
  const inputs = { ...txt2img[3].inputs, latent_image: ['0', 0], noise: ['huge', 0] };
  const samplers = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [i, { class_type: 'K', inputs }]));
  const huge = { class_type: 'N', inputs: Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`n${i}`, i])) };
  const chain = Object.fromEntries(
    Array.from({ length: 10_000 }, (_, i) => [
      i,
      { class_type: 'K', inputs: { ...inputs, latent_image: [`${i + 1}`, 0] } },
    ]),
  );
  // Anything but one pass would take hours.
  for (const prompt of [
    { ...samplers, huge },
    { ...chain, huge },
  ])
    read({ prompt });
  for (const parameters of [
    `{"a": "${'\\"'.repeat(5e5)}`,
    `{"a": ${'9'.repeat(1e6)}}`,
    `{"a": [${'-'.repeat(1e6)}]}`,
    `{"a": [${'NaN,'.repeat(2e5)}1]}`,
    `{"prompt": "x", "seed": 1, "resolution": "${'1'.repeat(5e5)}"}`,
    `{"prompt": "x", "seed": 1, "resolution": "${'1,'.repeat(5e5)}"}`,
  ]) {
    read({ parameters });
  }
});
