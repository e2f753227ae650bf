// Weights that are converted while a model is loaded are those of the file that `convert` writes.

import assert from 'node:assert/strict';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import {
  CONVERSION_TYPES,
  type ConversionType,
  convert,
  EMBEDDED_MODEL,
  type LoadOptions,
  loadModel,
  type ModelSource,
} from '../../lib/index.ts';
import { addon, never } from '../support/addon.ts';
import { type DiffusersNames, writeDiffusersFolder } from '../support/diffusers-folder.ts';
import { golden } from '../support/golden.ts';
import { loraFolder, tensor } from '../support/loras.ts';
import type { TestTensor } from '../support/safetensors.ts';
import { sd2Architecture, xlArchitecture } from '../support/tiny-architectures.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

const pathOf = (name: string): string => join(temporaryFolder(), `loading-${name}`);
const compute = { device: 'cpu', threads: 1 } as const;

async function draw(source: string | ModelSource, options: LoadOptions = {}, loras: string[] = []) {
  await using model = await loadModel(source, { ...compute, ...options });
  const image = { prompt: 'a red apple', width: 64, height: 64, steps: 1, seed: 3 };
  const { images } = await model.txt2img({ ...image, loras: loras.map((path) => ({ path })) });
  return images[0]?.data;
}

type Types = Pick<LoadOptions, 'type' | 'tensorTypeRules'>;

/** Compares images of the source and of the file that it is converted to, with each of several options. */
async function assertSame(
  name: string,
  source: string | ModelSource,
  types: Types,
  each: readonly LoadOptions[] = [{}],
  loras: string[] = [],
) {
  const file = pathOf(`${name}.gguf`);
  await convert(source, file, types);
  for (const options of each) {
    const what = `${name} ${JSON.stringify(options)}`;
    assert.deepEqual(await draw(source, { ...options, ...types }, loras), await draw(file, options, loras), what);
  }
}

const PRECISIONS = [{ precision: 'auto' }, { precision: 'f32' }] as const;

describe('a model that is converted while it is loaded draws the image of the converted file', () => {
  for (const type of CONVERSION_TYPES) {
    it(`in ${type}`, async () => {
      await assertSame(type, EMBEDDED_MODEL, { type }, PRECISIONS);
    });
  }

  it('by rules, with and without a type', async () => {
    const tensorTypeRules = 'attn1.*weight=q4_0,^first_stage_model=bf16,emb=f32';
    await assertSame('rules', EMBEDDED_MODEL, { type: 'q5_1', tensorTypeRules });
    await assertSame('rules-alone', EMBEDDED_MODEL, { tensorTypeRules });
    assert.notDeepEqual(await draw(EMBEDDED_MODEL, { tensorTypeRules }), await draw(EMBEDDED_MODEL));
  });

  it('whatever stays in memory', async () => {
    const each = [{ residency: 'unload' }, { residency: { budget: 0 } }, { mmap: false }] as const;
    await assertSame('memory', EMBEDDED_MODEL, { type: 'q4_0' }, each);
  });

  it('with LoRAs', async () => {
    const kernel = 'input_blocks.1.0.in_layers.2';
    const layer = `lora_unet_${kernel.replaceAll('.', '_')}`;
    const { write } = loraFolder('loading');
    const weights = await addon.readTensors(EMBEDDED_MODEL, 2 ** 24, never);
    const [out = 0, ...inner] = weights.find(({ name }) => name.endsWith(`${kernel}.weight`))?.shape ?? [];
    const lora = write('kernel', [
      tensor(`${layer}.lora_up.weight`, [out, 2, 1, 1]),
      tensor(`${layer}.lora_down.weight`, [2, ...inner]),
    ]);
    for (const type of ['q4_0', 'f16'] as const) {
      await assertSame(`lora-${type}`, EMBEDDED_MODEL, { type }, [{}], [lora]);
    }
  });

  it('of other families, from a folder and from parts', async () => {
    const vocabulary = 49408;
    for (const [name, architecture] of [
      ['sd2', sd2Architecture],
      ['xl', xlArchitecture],
    ] as const) {
      const { path } = tinyModel({ architecture, vocabulary });
      for (const type of ['f16', 'q8_0', 'q4_k'] as const) {
        await assertSame(name, path, { type, tensorTypeRules: 'in_proj=q5_0,self_attn=q4_0' });
        await assertSame(`${name}-parts`, { model: path, vae: path }, { type, tensorTypeRules: 'q_proj=q4_0' });
      }
    }
    let tensors: TestTensor[] = [];
    tinyModel({ vocabulary, edit: (all) => (tensors = all) });
    writeDiffusersFolder(pathOf('folder'), tensors, golden<DiffusersNames>('networks.json'));
    await assertSame('folder', pathOf('folder'), { type: 'q8_0' });
  });

  it('of a file that is mapped', async () => {
    const path = pathOf('large.safetensors');
    enlarge(tinyModel({ vocabulary: 49408 }).path, path);
    for (const type of ['f16', 'bf16', 'q8_0'] as const) {
      await using model = await loadModel(path, { ...compute, type });
      // Where this package's kernels pack weights, those that have not been quantized stay in the file.
      assert.equal(model.info.mappedBytes > 0, Boolean(model.info.precision), type);
      await assertSame(`large-${type}`, path, { type }, PRECISIONS);
    }
  });
});

/** Writes a file with a tensor that no network needs in addition, so that it is large enough to be mapped. */
function enlarge(from: string, to: string): void {
  const file = readFileSync(from);
  const start = 8 + Number(file.readBigUInt64LE());
  const header = JSON.parse(file.toString('utf8', 8, start));
  const [data, rest] = [file.subarray(start), 2 ** 28];
  header['model_ema.decay'] = { dtype: 'U8', shape: [rest], data_offsets: [data.length, data.length + rest] };
  const json = Buffer.from(JSON.stringify(header).padEnd(2 ** 18));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(to, Buffer.concat([length, json, data]));
  truncateSync(to, 8 + json.length + data.length + rest);
}

test('quantized weights take the memory of their type', async () => {
  const bytes = async (type: ConversionType) => {
    await using model = await loadModel(EMBEDDED_MODEL, { ...compute, type });
    return model.info.allocatedBytes;
  };
  const [q8, q4] = [await bytes('q8_0'), await bytes('q4_0')];
  for (const [type, taken] of [
    ['q8_0', q8],
    ['q4_0', q4],
  ] as const) {
    const file = pathOf(`size-${type}.gguf`);
    await convert(EMBEDDED_MODEL, file, { type });
    await using model = await loadModel(file, compute);
    assert.equal(taken, model.info.allocatedBytes, type);
  }
  assert.ok(q4 < q8);
});

test('progress is reported up to the end, and loading can be cancelled', async () => {
  const progress: number[] = [];
  const onProgress = ({ done, total }: { done: number; total: number }) => progress.push(done / total);
  await using model = await loadModel(EMBEDDED_MODEL, { ...compute, type: 'q2_k', onProgress });
  assert.ok(model.info.allocatedBytes > 0);
  assert.equal(progress.at(-1), 1);
  assert.deepEqual(progress, progress.toSorted());

  const controller = new AbortController();
  const opening = loadModel(EMBEDDED_MODEL, {
    ...compute,
    type: 'q2_k',
    signal: controller.signal,
    onProgress: () => controller.abort(new Error('enough')),
  });
  await assert.rejects(opening, /enough/);
});

test('weights that no number of the type stands for are an error', async () => {
  const path = tinyModel({
    edit: (all) => {
      const weight = all.find(({ name }) => name.endsWith('output_blocks.0.0.emb_layers.1.weight')) as TestTensor;
      (weight.values as Float32Array)[5] = 1e6;
      return all;
    },
  }).path;
  const message = /within the range of q8_0, but '.*emb_layers\.1\.weight' has 1e\+06 at index 5/;
  await assert.rejects(loadModel(path, { ...compute, type: 'q8_0' }), { code: 'ERR_NON_FINITE', message });
});

test('a type that does not exist and rules that are none are refused together', async () => {
  const options = { type: 'q4_O', tensorTypeRules: 'attn=q9,(=f16' } as unknown as LoadOptions;
  await assert.rejects(loadModel(EMBEDDED_MODEL, options), (error: Error & { problems: readonly string[] }) => {
    assert.ok(error instanceof RangeError);
    assert.match(error.message, /one of f32, f16, .* for type but received 'q4_O'. Did you mean 'q4_k'\?/);
    assert.match(error.message, /for tensorTypeRules but received 'q9'/);
    assert.match(error.message, /rules of the form regex=type,regex=type for tensorTypeRules but received '\(=f16'/);
    return true;
  });
  await assert.rejects(loadModel(EMBEDDED_MODEL, { type: 4 } as unknown as LoadOptions), TypeError);
});
