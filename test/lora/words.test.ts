// Words that were trained with a LoRA and are stored in its file: they are embeddings while it is in force.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { loadModel, type Model, type Txt2ImgOptions } from '../../lib/index.ts';
import { loraFolder, random, tensor } from '../support/loras.ts';
import { xlArchitecture } from '../support/tiny-architectures.ts';
import { tinyModel } from '../support/tiny-model.ts';

const { folder, write } = loraFolder('lora-words');

describe('words that a LoRA carries', () => {
  const layer = 'unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0';
  const tensors = [tensor(`${layer}.lora_B.weight`, [64, 2]), tensor(`${layer}.lora_A.weight`, [2, 64])];
  const vectors = random(2 * 64, 2);
  const alone = write('alone', tensors);
  const embedding = write('zzcat', [tensor('emb_params', [2, 64], vectors)]);
  let model: Model;
  before(async () => {
    model = await loadModel(tinyModel({ vocabulary: 49408 }).path, { device: 'cpu', threads: 1 });
  });
  after(() => model.dispose());
  const generate = async (options: Partial<Txt2ImgOptions>) =>
    model.txt2img({ prompt: 'a ZZcat', steps: 2, width: 32, height: 32, seed: 5, loraDirectory: folder, ...options });

  for (const name of ['string_to_param.*', 'emb_params', 'clip_l']) {
    it(`are embeddings while it is in force: ${name}`, async () => {
      const path = write('bundle', [...tensors, tensor(`bundle_emb.zzcat.${name}`, [2, 64], vectors)]);
      const expected = await generate({ loras: [{ path: alone }], embeddings: [{ path: embedding }] });
      const received = await generate({ loras: [{ path }], strictLoras: true });
      assert.deepEqual(received.images[0]?.data, expected.images[0]?.data);
      assert.deepEqual(received.embeddings, [{ token: 'zzcat', path, vectors: 2 }]);
      assert.deepEqual(received.warnings, []);
      const byTag = await generate({ prompt: 'a ZZcat<lora:bundle>' });
      assert.deepEqual(byTag.images[0]?.data, expected.images[0]?.data);
      const without = await generate({ loras: [{ path: alone }] });
      assert.deepEqual(without.embeddings, []);
      assert.notDeepEqual(without.images[0]?.data, expected.images[0]?.data);
    });
  }

  it('of both text encoders of SDXL', async () => {
    const wide = xlArchitecture.text2?.width ?? 0;
    const [first, second] = [random(64, 2), random(wide, 2)];
    const words = (prefix: string) => [
      tensor(`${prefix}clip_l`, [1, 64], first),
      tensor(`${prefix}clip_g`, [1, wide], second),
    ];
    const apart = write('zzxl', words(''));
    const diff = tensor('unet.conv_out.diff_b', [4]);
    const path = write('bundle-xl', [diff, ...words('bundle_emb.zzxl.')]);
    const model = await loadModel(tinyModel({ architecture: xlArchitecture, vocabulary: 49408 }).path, {
      device: 'cpu',
      threads: 1,
    });
    const options = { prompt: 'a zzxl', steps: 1, width: 32, height: 32, seed: 5, strictLoras: true };
    const bundled = await model.txt2img({ ...options, loras: [{ path }] });
    const loras = [{ path: write('bundle-none', [diff]) }];
    const expected = await model.txt2img({ ...options, loras, embeddings: [{ path: apart }] });
    const without = await model.txt2img({ ...options, loras });
    await model.dispose();
    assert.deepEqual(bundled.images[0]?.data, expected.images[0]?.data);
    assert.notDeepEqual(bundled.images[0]?.data, without.images[0]?.data);
  });

  it('go before a file of the folder, and behind what the call gives by itself', async () => {
    const path = write('bundle', [...tensors, tensor('bundle_emb.zzcat.emb_params', [1, 64])]);
    const found = async (options: Partial<Txt2ImgOptions>) =>
      (await generate({ loras: [{ path }], embeddingDirectory: folder, ...options })).embeddings[0]?.path;
    assert.equal(await found({}), path);
    assert.equal(await found({ loras: [] }), embedding);
    assert.equal(await found({ embeddings: [{ path: embedding }] }), embedding);
  });

  it('of two LoRAs may not be the same', async () => {
    const paths = ['one', 'other'].map((name) =>
      write(name, [...tensors, tensor('bundle_emb.zzcat.emb_params', [1, 64])]),
    );
    const refusal = { code: 'ERR_FILE', message: /one\.safetensors' and '.*other\.safetensors'/ };
    await assert.rejects(generate({ loras: paths.map((path) => ({ path })) }), refusal);
  });
});
