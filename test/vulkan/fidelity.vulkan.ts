// Images of a Vulkan device, or of another GPU, against those of the CPU in f32, for each kind of model and of addition to it. Weights are f16
// unless a case says otherwise.

import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { type LoadOptions, loadDepthEstimator, loadModel, loadUpscaler, type Model } from '../../lib/index.ts';
import { psnr } from '../support/compare.ts';
import { loraFolder, tensor } from '../support/loras.ts';
import {
  inpaintArchitecture,
  sd2Architecture,
  type TinyModelArchitecture,
  tinyArchitecture,
  xlArchitecture,
} from '../support/tiny-architectures.ts';
import { tinyAutoencoder, writeTinyAutoencoder } from '../support/tiny-autoencoder.ts';
import { tinyControlNet } from '../support/tiny-control-net.ts';
import { tinyDpt } from '../support/tiny-depth.ts';
import { tinyModel } from '../support/tiny-model.ts';
import { tinyRrdbNet, writeUpscaler } from '../support/tiny-upscalers.ts';

/** Another backend's device, for a machine that has one. */
const device = process.env.NODE_DIFFUSION_TEST_DEVICE ?? 'vulkan';
/** Of the bytes of two images, in dB. */
const LEAST = 40;
/** With products in f32 too, where only the order of sums differs. */
const LEAST_EXACT = 60;

const side = 64;
const waves = (channels: number) =>
  Uint8Array.from({ length: side * side * channels }, (_, i) => {
    const [pixel, channel] = [Math.floor(i / channels), i % channels];
    const [x, y] = [pixel % side, Math.floor(pixel / side)];
    return 128 + 100 * Math.sin(x / (9 + 4 * channel)) * Math.cos(y / (17 - 4 * channel));
  });
const image = { width: side, height: side, data: waves(3) };
const mask = { width: side, height: side, data: waves(1).map((value) => (value > 128 ? 255 : 0)) };

const common = { prompt: 'a red apple', width: side, height: side, steps: 4, cfgScale: 7, seed: 1 } as const;
/** For models whose latents have half the side of the image, not an eighth. */
const small = { ...common, width: side / 2, height: side / 2 } as const;
const paths = new Map<TinyModelArchitecture, string>();
function checkpoint(architecture: TinyModelArchitecture): string {
  const path = paths.get(architecture) ?? tinyModel({ vocabulary: 49408, dtype: 'f16', architecture }).path;
  paths.set(architecture, path);
  return path;
}
const sd1 = checkpoint(tinyArchitecture);

function writeLora(): string {
  const layer = 'lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q';
  const down = tensor(`${layer}.lora_down.weight`, [4, 32]);
  return loraFolder('vulkan').write('lora', [down, tensor(`${layer}.lora_up.weight`, [32, 4])]);
}
const loras = [{ path: writeLora() }];
const controls = [{ model: tinyControlNet(), image }];

type Compute = Pick<LoadOptions, 'device' | 'precision'>;
type Draw = (compute: Compute) => Promise<Uint8Array>;

type Source = Parameters<typeof loadModel>[0];

/** An image of a model. */
function drawn(source: Source, by: (model: Model) => ReturnType<Model['txt2img']>, options: LoadOptions = {}): Draw {
  return async (compute) => {
    await using model = await loadModel(source, { ...options, ...compute });
    return (await by(model)).images[0]?.data as Uint8Array;
  };
}

const cases: Readonly<Record<string, Draw>> = {
  'SD 1.5, 20 steps': drawn(sd1, (model) => model.txt2img({ ...common, steps: 20, sampler: 'euler_a' })),
  'SD 1.5 in two images': drawn(sd1, (model) => model.txt2img({ ...common, batchSize: 2, width: 96 })),
  'SD 1.5 in q8_0': drawn(sd1, (model) => model.txt2img(common), { type: 'q8_0' }),
  'SD 1.5 without guidance': drawn(sd1, (model) => model.txt2img({ ...common, cfgScale: 1 })),
  'SD 1.5 with its VAE in tiles': drawn(sd1, (model) =>
    model.txt2img({ ...common, width: 144, vaeTiling: true, vaeTileSize: 8 }),
  ),
  'SD 1.5, tileable': drawn(sd1, (model) => model.txt2img({ ...common, tileable: true })),
  'image to image': drawn(sd1, (model) => model.img2img({ ...common, image, strength: 0.6 })),
  'inpainting by any model': drawn(sd1, (model) => model.inpaint({ ...common, image, mask })),
  'inpainting by its own model': drawn(checkpoint(inpaintArchitecture), (model) =>
    model.inpaint({ ...small, image, mask }),
  ),
  'SD 2.1': drawn(checkpoint(sd2Architecture), (model) => model.txt2img(small)),
  SDXL: drawn(checkpoint(xlArchitecture), (model) => model.txt2img(small)),
  'a LoRA': drawn(sd1, (model) => model.txt2img({ ...common, loras })),
  'a LoRA on q8_0': drawn(sd1, (model) => model.txt2img({ ...common, loras }), { type: 'q8_0' }),
  'a ControlNet': drawn(sd1, (model) => model.txt2img({ ...common, controls })),
  TAESD: drawn({ model: sd1, vae: writeTinyAutoencoder(tinyAutoencoder()) }, (model) => model.txt2img(common)),
  'an upscaler': async (compute) => {
    await using upscaler = await loadUpscaler(writeUpscaler(tinyRrdbNet()), compute);
    return (await upscaler.upscale(image)).data;
  },
  depth: async (compute) => {
    await using estimator = await loadDepthEstimator(writeUpscaler(tinyDpt({ hybrid: true })), compute);
    return (await (await estimator.estimate(image)).image()).data;
  },
};

async function compare(draw: Draw, compute: Compute, least: number): Promise<string> {
  const expected = await draw({ device: 'cpu', precision: 'f32' });
  const decibels = psnr(await draw(compute), expected, 255);
  assert.ok(decibels >= least, `at least ${least} dB were expected, they are ${decibels.toFixed(1)}`);
  return `${decibels.toFixed(1)} dB`;
}

describe(`${device} generates the images of the CPU`, () => {
  for (const [name, draw] of Object.entries(cases)) {
    it(name, async (t) => t.diagnostic(await compare(draw, { device }, LEAST)));
  }
});

test('with products in f32 the images are those of the CPU all but exactly', async (t) => {
  const draw = cases['SD 1.5, 20 steps'] as Draw;
  t.diagnostic(await compare(draw, { device, precision: 'f32' }, LEAST_EXACT));
});
