// Depth networks against transformers' DPTForDepthEstimation, in float32, and what is refused; the goldens come from
// test/reference/depth.py.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import type { NativeOpenOptions } from '../../lib/native/contract.ts';
import { addon, never } from '../support/addon.ts';
import { assertClose } from '../support/compare.ts';
import { goldenTensors } from '../support/golden.ts';
import { evaluateImage, type TestImageNetwork } from '../support/networks.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { midasNames, tinyDepthModel, tinyDpt } from '../support/tiny-depth.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import { writeUpscaler } from '../support/tiny-upscalers.ts';
import { writeCheckpoint } from '../support/torch-file.ts';

const open = (path: string, options: Partial<NativeOpenOptions> = {}): Promise<TestImageNetwork> =>
  addon.open({ network: path }, { device: 'cpu', threads: 2, precision: 'f32', cancellation: never, ...options });

const goldens = goldenTensors('depth.safetensors');
type Shape = [number, number, number, number];
const imageOf = (name: string) => goldens.get(name) as { shape: Shape; values: Float32Array };

const large = tinyDpt();
const hybrid = tinyDpt({ hybrid: true });
const pytorchFile = (tensors: readonly TestTensor[]) => {
  const path = join(temporaryFolder(), 'dpt.pt');
  writeCheckpoint(path, tensors);
  return path;
};
const folder = (parent: string, ...names: string[]) => {
  const path = join(temporaryFolder(), parent);
  mkdirSync(join(path, ...names), { recursive: true });
  writeSafetensors(join(path, ...names, 'model.safetensors'), hybrid);
  return path;
};
const NETWORKS: readonly (readonly [golden: string, from: string, path: () => string])[] = [
  ['dpt', "a file in transformers' names", () => writeUpscaler(large)],
  ['dpt', "a file in MiDaS's names", () => writeUpscaler(midasNames(large))],
  ['dpt-hybrid', "a file in transformers' names", () => writeUpscaler(hybrid)],
  ['dpt-hybrid', "a PyTorch file in MiDaS's names", () => pytorchFile(midasNames(hybrid))],
  ['dpt-hybrid', 'the checkpoint of a depth model', () => tinyDepthModel()],
  ['dpt-hybrid', 'a folder of transformers', () => folder('dpt')],
  ['dpt-hybrid', 'a folder of diffusers', () => folder('sd2-depth', 'depth_estimator')],
];

describe('a depth network gives what its original gives', () => {
  for (const [golden, from, path] of NETWORKS) {
    it(`${golden}, from ${from}`, async () => {
      const network = await open(path());
      const { kind, architecture, scale, multiple, outputChannels } = network.info;
      assert.deepEqual([kind, architecture, scale, multiple, outputChannels], ['depth', golden, 1, 32, 1]);
      for (const size of ['own', 'wide']) {
        const { values, shape } = imageOf(size);
        const depth = await evaluateImage(network, values, shape, never);
        assertClose(depth, goldens.get(`${golden} ${size}`)?.values as Float32Array, 1e-4);
      }
      await network.dispose();
    });
  }

  it('and the same for each image of a batch', async () => {
    const network = await open(writeUpscaler(hybrid));
    const { values, shape } = imageOf('wide');
    const two = await evaluateImage(
      network,
      Float32Array.of(...values, ...values.map((x) => 1 - x)),
      [2, ...shape.slice(1)] as Shape,
      never,
    );
    assertClose(two.subarray(0, two.length / 2), goldens.get('dpt-hybrid wide')?.values as Float32Array, 1e-4);
    const other = await evaluateImage(
      network,
      values.map((x) => 1 - x),
      shape,
      never,
    );
    assertClose(two.subarray(two.length / 2), other, 1e-5);
    await network.dispose();
  });
});

const edited =
  (edit: (tensors: TestTensor[]) => TestTensor[], tensors = hybrid) =>
  () =>
    writeUpscaler(edit([...tensors]));
const without = (part: string) => (tensors: TestTensor[]) => tensors.filter(({ name }) => !name.includes(part));
const reshaped = (part: string, shape: number[]) => (tensors: TestTensor[]) =>
  tensors.map((tensor) =>
    tensor.name.includes(part)
      ? { ...tensor, shape, values: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.1) }
      : tensor,
  );

const BAD_FILES: readonly (readonly [what: string, path: () => string, code: string, message: RegExp])[] = [
  ['a missing tensor', edited(without('head.head.4.bias')), 'ERR_MODEL_INCOMPLETE', /output_conv\.4\.bias/],
  ['a missing backbone', edited(without('.backbone.')), 'ERR_MODEL_INCOMPLETE', /./],
  ['no transformer', edited(without('dpt.')), 'ERR_MODEL_INCOMPLETE', /./],
  ['no decoder', edited(without('neck.')), 'ERR_MODEL_INCOMPLETE', /./],
  ['another width', edited(reshaped('cls_token', [1, 1, 60])), 'ERR_MODEL_UNSUPPORTED', /a width of 60/],
  ['a width that fits nothing', edited(reshaped('cls_token', [1, 1, 128])), 'ERR_MODEL_MISMATCH', /blocks\.0/],
  [
    'a fifth layer',
    edited((all) => [
      ...all,
      ...all
        .filter(({ name }) => name.includes('layer.3.'))
        .map((tensor) => ({ ...tensor, name: tensor.name.replace('layer.3.', 'layer.4.') })),
    ]),
    'ERR_MODEL_UNSUPPORTED',
    /5 layers/,
  ],
  [
    'a million layers',
    edited((all) => [...all, { ...(all[0] as TestTensor), name: 'dpt.encoder.layer.999999.layernorm_before.bias' }]),
    'ERR_MODEL_UNSUPPORTED',
    /999999/,
  ],
  [
    'positions of no square',
    edited(reshaped('position_embeddings', [1, 16, 64])),
    'ERR_MODEL_UNSUPPORTED',
    /15 position embeddings/,
  ],
  [
    'a convolution of another kernel',
    edited(reshaped('stages.0.layers.0.conv2', [32, 32, 5, 5])),
    'ERR_MODEL_MISMATCH',
    /conv2/,
  ],
  [
    'a backbone of odd channels',
    edited(reshaped('stages.0.layers.0.conv1', [30, 32, 1, 1])),
    'ERR_MODEL_UNSUPPORTED',
    /30 and 128 channels/,
  ],
  [
    'a fourth stage',
    edited((all) => [
      ...all,
      { ...(all[0] as TestTensor), name: 'dpt.embeddings.backbone.bit.encoder.stages.3.layers.0.norm1.bias' },
    ]),
    'ERR_MODEL_UNSUPPORTED',
    /4 stages/,
  ],
  [
    'batch norm between levels',
    edited(
      (all) => [...all, { ...(all[0] as TestTensor), name: 'scratch.refinenet1.resConfUnit1.bn1.weight' }],
      midasNames(hybrid),
    ),
    'ERR_MODEL_UNSUPPORTED',
    /bn1/,
  ],
  [
    'a name twice',
    edited((all) => [...all, { ...(all[0] as TestTensor), name: 'dpt.embeddings.cls_token' }], midasNames(hybrid)),
    'ERR_MODEL_CORRUPT',
    /cls_token/,
  ],
  ['a Stable Diffusion model', () => tinyModel().path, 'ERR_MODEL_UNSUPPORTED', /a depth estimator/],
  [
    'an empty folder',
    () => mkdirSync(join(temporaryFolder(), 'empty'), { recursive: true }) ?? join(temporaryFolder(), 'empty'),
    'ERR_FILE',
    /./,
  ],
];

test('files that are no whole depth network are refused', async () => {
  for (const [what, path, code, message] of BAD_FILES) {
    await assert.rejects(open(path()), (error: Error & { code: string }) => {
      assert.equal(error.code, code, `${what}: ${error.message}`);
      assert.match(error.message, message, what);
      return true;
    });
  }
});

test('images that a depth network cannot take are refused', async () => {
  const network = await open(writeUpscaler(large));
  const rows: readonly (readonly [shape: Shape, length: number, message: RegExp])[] = [
    [[1, 3, 48, 64], 3 * 48 * 64, /a multiple of 32/],
    [[1, 3, 0, 64], 0, /a size in a shape/],
    [[1, 1, 32, 32], 32 * 32, /\[batch, 3, /],
    [[1, 3, 32, 32], 7, /product is its length/],
  ];
  for (const [shape, length, message] of rows) {
    await assert.rejects(evaluateImage(network, new Float32Array(length), shape, never), {
      code: 'ERR_INVALID_ARG_VALUE',
      message,
    });
  }
  const cancellation = new addon.Cancellation();
  cancellation.cancel();
  await assert.rejects(evaluateImage(network, new Float32Array(3072), [1, 3, 32, 32], cancellation), {
    code: 'ERR_CANCELLED',
  });
  assert.equal((await evaluateImage(network, new Float32Array(3072), [1, 3, 32, 32], never)).length, 1024);
  await network.dispose();
});
