// The networks against transformers and diffusers, in float32; the goldens come from test/reference/networks.py. Then the same
// weights out of other files.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { NativeSource } from '../../lib/native/contract.ts';
import { loadAddon } from '../../lib/native/load.ts';
import { assertClose, psnr } from '../support/compare.ts';
import { type DiffusersNames, diffusersTensors, writeDiffusersFolder } from '../support/diffusers-folder.ts';
import { q8Mix, writeGguf } from '../support/gguf.ts';
import { golden, goldenTensors } from '../support/golden.ts';
import { openModel, type TestModel } from '../support/networks.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { deepArchitecture } from '../support/tiny-architectures.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

type Shape = readonly [number, number, number, number];

const addon = loadAddon();
const never = new addon.Cancellation();
const goldens = goldenTensors('networks.safetensors');
const names = golden<DiffusersNames>('networks.json');

const open = (source: NativeSource, threads = 1): Promise<TestModel> =>
  openModel(source, { device: 'cpu', threads, precision: 'f32', cancellation: never });

function tensor(name: string): { shape: Shape; values: Float32Array } {
  const found = goldens.get(name);
  assert.ok(found, `a golden ${name}`);
  return found as unknown as { shape: Shape; values: Float32Array };
}

const tokens = (checkpoint: string): Int32Array => goldens.get(`${checkpoint}.tokens`)?.values as Int32Array;

async function encodeText(model: TestModel, ids: Int32Array, clipSkip: number): Promise<Float32Array> {
  return (await model.encodeText(0, ids, clipSkip, never)).hidden;
}

/** The prediction for the golden inputs `name` under the context of `context`, of which a batch takes what it needs. */
function predict(model: TestModel, name: string, context: string, contextTokens: number): Promise<Float32Array> {
  const { shape, values } = tensor(`${name}.latent`);
  const hidden = tensor(context);
  const share = hidden.values.subarray(0, shape[0] * contextTokens * (hidden.shape.at(-1) as number));
  const condition = { context: share, contextTokens };
  return model.predict(values, shape, tensor(`${name}.timesteps`).values, condition, never);
}

async function withModel<T>(source: NativeSource, body: (model: TestModel) => Promise<T>, threads = 1): Promise<T> {
  const model = await open(source, threads);
  try {
    return await body(model);
  } finally {
    await model.dispose();
  }
}

let tensors: TestTensor[] = [];
const keep = (all: TestTensor[]): TestTensor[] => {
  tensors = all;
  return all;
};
const tiny = tinyModel({ edit: keep }).path;

describe('the networks of the tiny checkpoint agree with transformers and diffusers', () => {
  let model: TestModel;
  before(async () => {
    model = await open({ model: tiny });
  });
  after(() => model.dispose());

  for (const skip of [1, 2]) {
    it(`text encoder, clip skip ${skip}, two chunks`, async () => {
      const expected = tensor(`tiny.hidden.skip${skip}`).values;
      assertClose(await encodeText(model, tokens('tiny'), skip), expected);
    });
  }

  it('text encoder, one chunk alone', async () => {
    const expected = tensor('tiny.hidden.skip1').values.subarray(77 * 64);
    assertClose(await encodeText(model, tokens('tiny').subarray(77), 1), expected);
  });

  for (const [name, what, contextTokens] of [
    ['square', 'two latents with their own timesteps and contexts', 77],
    ['long', 'a wide latent and a context of two chunks', 154],
    ['odd', 'odd sides', 77],
    ['least', 'a latent of one column', 77],
    ['faint', 'a latent of hardly any variance', 77],
  ] as const) {
    it(`UNet, ${what}`, async () => {
      const prediction = await predict(model, `tiny.${name}`, 'tiny.hidden.skip1', contextTokens);
      assertClose(prediction, tensor(`tiny.${name}.prediction`).values);
    });
  }

  it('VAE decoder, two latents', async () => {
    const { values, shape } = tensor('tiny.vae.latent');
    assertClose(await model.decode(values, shape, never), tensor('tiny.vae.image').values);
  });

  for (const [name, what] of [
    ['vae', 'two images'],
    ['faint', 'an image of hardly any variance'],
  ] as const) {
    it(`VAE encoder, ${what}`, async () => {
      const { values, shape } = tensor(`tiny.${name}.image`);
      assertClose(await model.encode(values, shape, never), tensor(`tiny.${name}.moments`).values);
    });
  }
});

describe('the networks of a checkpoint of other sizes agree with transformers and diffusers', () => {
  let model: TestModel;
  before(async () => {
    model = await open({ model: tinyModel({ architecture: deepArchitecture }).path });
  });
  after(() => model.dispose());

  it('text encoder with two heads', async () => {
    assertClose(await encodeText(model, tokens('deep'), 1), tensor('deep.hidden.skip1').values);
  });

  it('UNet of three levels on a latent with odd sides', async () => {
    const prediction = await predict(model, 'deep.odd', 'deep.hidden.skip1', 77);
    assertClose(prediction, tensor('deep.odd.prediction').values);
  });

  it('VAE of two levels', async () => {
    const latent = tensor('deep.vae.latent');
    const image = tensor('deep.vae.image');
    assertClose(await model.decode(latent.values, latent.shape, never), image.values);
    assertClose(await model.encode(image.values, image.shape, never), tensor('deep.vae.moments').values);
  });
});

/** Everything that the networks say about the golden inputs. */
async function answers(model: TestModel): Promise<Float32Array[]> {
  const latent = tensor('tiny.vae.latent');
  const image = tensor('tiny.vae.image');
  return [
    await encodeText(model, tokens('tiny'), 1),
    await predict(model, 'tiny.odd', 'tiny.hidden.skip1', 77),
    await model.decode(latent.values, latent.shape, never),
    await model.encode(image.values, image.shape, never),
  ];
}

describe('the answers do not depend on', () => {
  let expected: Float32Array[];
  before(async () => {
    expected = await withModel({ model: tiny }, answers);
  });

  it('the number of threads', async () => {
    // Smaller latents leave the second thread nothing to do.
    const shape: Shape = [2, 4, 24, 24];
    const latent = Float32Array.from({ length: 2 * 4 * 24 * 24 }, (_, i) => Math.sin(i));
    const context = tensor('tiny.hidden.skip1').values;
    const hidden = Float32Array.from({ length: 2 * 77 * 64 }, (_, i) => context[i % context.length] as number);
    const condition = { context: hidden, contextTokens: 77 };
    const large = (model: TestModel) => model.predict(latent, shape, Float32Array.of(10, 500), condition, never);
    const one = await withModel({ model: tiny }, large, 1);
    assert.deepEqual(await withModel({ model: tiny }, large, 2), one);
  });

  it('what was computed before', async () => {
    await withModel({ model: tiny }, async (model) => {
      await predict(model, 'tiny.square', 'tiny.hidden.skip1', 77);
      await answers(model);
      assert.deepEqual(await answers(model), expected);
    });
  });

  it('the layout: a diffusers folder', async () => {
    const folder = join(temporaryFolder(), 'diffusers');
    writeDiffusersFolder(folder, tensors, names);
    assert.deepEqual(await withModel({ model: folder }, answers), expected);
  });

  it('the layout: a diffusers folder whose UNet lies in shards', async () => {
    const folder = join(temporaryFolder(), 'sharded');
    writeDiffusersFolder(folder, tensors, names, 3);
    assert.deepEqual(await withModel({ model: folder }, answers), expected);
  });

  it('the layout: one file for each component, in names of either kind', async () => {
    const folder = join(temporaryFolder(), 'parts');
    mkdirSync(folder);
    const write = (name: string, part: TestTensor[]): string => {
      const path = join(folder, `${name}.safetensors`);
      writeSafetensors(path, part);
      return path;
    };
    const originals = (prefix: string): TestTensor[] =>
      tensors
        .filter(({ name }) => name.startsWith(prefix))
        .map((part) => ({ ...part, name: part.name.slice(prefix.length) }));
    const original = {
      unet: write('unet', originals('model.diffusion_model.')),
      textEncoder: write('text', originals('cond_stage_model.transformer.')),
      vae: write('vae', originals('first_stage_model.')),
    };
    const renamed = {
      unet: write('unet-diffusers', diffusersTensors(tensors, names, 'unet')),
      textEncoder: write('text-diffusers', diffusersTensors(tensors, names, 'text_encoder')),
      vae: write('vae-diffusers', diffusersTensors(tensors, names, 'vae')),
    };
    for (const source of [original, renamed]) {
      assert.deepEqual(await withModel(source, answers), expected);
    }
  });

  it('the layout: a part of its own takes the place of that of a whole model', async () => {
    const other = tinyModel({ seed: 2 }).path;
    const source = { model: other, unet: tiny, textEncoder: tiny, vae: tiny };
    assert.deepEqual(await withModel(source, answers), expected);
    const [hidden] = await withModel({ model: other }, answers);
    assert.notDeepEqual(hidden, expected[0]);
  });
});

describe('weights in other types give nearly the answers of float32', () => {
  let expected: Float32Array[];
  before(async () => {
    expected = await withModel({ model: tiny }, answers);
  });

  const gguf = (name: string, typeOf: Parameters<typeof writeGguf>[2]): string => {
    const path = join(temporaryFolder(), `${name}.gguf`);
    writeGguf(path, tensors, typeOf);
    return path;
  };
  const matricesAs =
    (type: 'f16' | 'bf16') =>
    ({ shape }: TestTensor) =>
      shape.length > 1 ? type : 'f32';

  for (const [what, write, least] of [
    ['float16 in safetensors', () => tinyModel({ dtype: 'f16' }).path, 60],
    ['float32 in GGUF', () => gguf('f32', () => 'f32'), Number.POSITIVE_INFINITY],
    ['float16 in GGUF', () => gguf('f16', matricesAs('f16')), 60],
    ['bfloat16 in GGUF', () => gguf('bf16', matricesAs('bf16')), 45],
    ['8-bit blocks and float16 in GGUF', () => gguf('q8_0', q8Mix), 45],
  ] as const) {
    it(`${what}: ${least} dB`, async () => {
      const received = await withModel({ model: write() }, answers);
      received.forEach((values, i) => {
        const reference = expected[i] as Float32Array;
        const decibels = psnr(values, reference, 2 * reference.reduce((peak, x) => Math.max(peak, Math.abs(x)), 0));
        assert.ok(
          decibels >= least,
          `at least ${least} dB were expected of answer ${i}, it has ${decibels.toFixed(1)}`,
        );
      });
    });
  }
});
