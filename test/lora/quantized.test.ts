// LoRAs on quantized weights: added in f32, so that an image loses no more by quantization than without the LoRA.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { type ConversionType, convert, EMBEDDED_MODEL, loadModel } from '../../lib/index.ts';
import { addon, never } from '../support/addon.ts';
import { psnr } from '../support/compare.ts';
import { loraFolder, random, tensor } from '../support/loras.ts';
import { temporaryFolder } from '../support/tiny-model.ts';

const { write } = loraFolder('quantized');
const UNET = 'model.diffusion_model.';
const RANK = 4;

/** A pair of factors for each matrix and kernel in the blocks of the embedded model's UNet. */
async function loraForBlocks(): Promise<string> {
  const weights = await addon.readTensors(EMBEDDED_MODEL, 2 ** 24, never);
  const pairs = weights.flatMap(({ name, shape: [out = 1, ...inner] }) => {
    if (!name.startsWith(UNET) || !/block.*\.weight$/.test(name) || inner.length === 0) return [];
    const layer = `lora_unet_${name.slice(UNET.length, -'.weight'.length).replaceAll('.', '_')}`;
    const columns = inner.reduce((a, b) => a * b);
    const scale = 0.4 / Math.sqrt(columns);
    return [
      tensor(`${layer}.lora_down.weight`, [RANK, ...inner], random(RANK * columns, scale)),
      tensor(`${layer}.lora_up.weight`, [out, RANK, ...inner.slice(1).map(() => 1)], random(out * RANK, 0.5)),
    ];
  });
  return write('blocks', pairs);
}

describe('a LoRA on quantized weights', () => {
  type Images = Record<'plain' | 'changed', Uint8Array>;
  const draw = async (type: ConversionType): Promise<Images> => {
    const path = join(temporaryFolder(), `quantized-${type}.gguf`);
    await convert(EMBEDDED_MODEL, path, { type });
    await using model = await loadModel(path, { device: 'cpu', threads: 1, precision: 'f32' });
    const pixels = async (options: object) => {
      const { images } = await model.txt2img({ prompt: 'a red apple', steps: 6, seed: 3, batchSize: 4, ...options });
      return Uint8Array.from(images.flatMap(({ data }) => [...data]));
    };
    return { plain: await pixels({}), changed: await pixels({ loras: [{ path: lora }] }) };
  };
  let lora: string;
  let half: Images;
  before(async () => {
    lora = await loraForBlocks();
    half = await draw('f16');
  });

  it('changes the image', () => {
    assert.ok(psnr(half.changed, half.plain, 255) < 25, `${psnr(half.changed, half.plain, 255)} dB`);
  });

  for (const type of ['q8_0', 'q4_0'] as const) {
    it(`${type} is as near to f16 with the LoRA as without it`, async () => {
      const images = await draw(type);
      const plain = psnr(images.plain, half.plain, 255);
      const changed = psnr(images.changed, half.changed, 255);
      assert.ok(changed > plain - 2, `${plain.toFixed(1)} dB without, ${changed.toFixed(1)} dB with the LoRA`);
    });
  }
});
