// The graph of nodes in ComfyUI's images: what is read of it, and what is said of the rest.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageMetadata } from '../../lib/metadata/interpret.ts';
import { checkFields, read } from '../support/metadata-texts.ts';

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
      'an image to start from',
      graph(
        { 3: { denoise: 0.6, latent_image: ['20', 0] } },
        {
          20: { class_type: 'VAEEncode', inputs: { pixels: ['21', 0], vae: ['4', 2] } },
          21: { class_type: 'LoadImage', inputs: { image: 'example.png' } },
        },
      ),
      { strength: 0.6, width: undefined },
      /from another image/,
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
