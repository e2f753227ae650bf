// Upscalers against BasicSR's networks, in float32, and what is refused; the goldens come from test/reference/upscalers.py.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { NativeOpenOptions } from '../../lib/native/contract.ts';
import { addon, never, tiny } from '../support/addon.ts';
import { assertClose } from '../support/compare.ts';
import { goldenTensors } from '../support/golden.ts';
import { evaluateImage, type TestImageNetwork } from '../support/networks.ts';
import type { TestTensor } from '../support/safetensors.ts';
import { temporaryFolder } from '../support/tiny-model.ts';
import { releaseNames, sequenceNames, tinyCompactNet, tinyRrdbNet, writeUpscaler } from '../support/tiny-upscalers.ts';
import { writeCheckpoint } from '../support/torch-file.ts';

const open = (path: string, options: Partial<NativeOpenOptions> = {}): Promise<TestImageNetwork> =>
  addon.open({ network: path }, { device: 'cpu', threads: 2, precision: 'f32', cancellation: never, ...options });

const wrapped = (tensors: readonly TestTensor[], prefix: string): TestTensor[] =>
  tensors.map((tensor) => ({ ...tensor, name: prefix + tensor.name }));

const x8 = tinyRrdbNet({ blocks: 1, doublings: 3 });

/** [name in the goldens, how the tensors are spelled, tensors, scale] */
const NETWORKS: readonly (readonly [
  golden: string,
  spelling: string,
  tensors: readonly TestTensor[],
  scale: number,
])[] = [
  ['rrdb x4', 'BasicSR', tinyRrdbNet(), 4],
  ['rrdb x4', "ESRGAN's first release", releaseNames(tinyRrdbNet()), 4],
  ['rrdb x4', 'one sequence', sequenceNames(tinyRrdbNet()), 4],
  [
    'rrdb x4',
    'two copies of the weights',
    [...wrapped(tinyRrdbNet({ blocks: 1 }), 'params.'), ...wrapped(tinyRrdbNet(), 'params_ema.')],
    4,
  ],
  ['rrdb x2', 'BasicSR', tinyRrdbNet({ unshuffle: 2, blocks: 1 }), 2],
  ['rrdb x1', 'BasicSR', tinyRrdbNet({ unshuffle: 4, blocks: 1 }), 1],
  ['rrdb x8', 'one sequence', sequenceNames(x8), 8],
  ['compact x3', 'BasicSR', tinyCompactNet(), 3],
  ['compact x3', 'wrapped weights', wrapped(tinyCompactNet(), 'params.'), 3],
  ['compact x4', 'BasicSR', tinyCompactNet({ scale: 4, convolutions: 1, channels: 64 }), 4],
];

describe('an upscaler gives what its original gives', () => {
  const goldens = goldenTensors('upscalers.safetensors');
  const image = goldens.get('image') as { shape: number[]; values: Float32Array };
  for (const [golden, spelling, tensors, scale] of NETWORKS) {
    it(`${golden}, tensors spelled as ${spelling}`, async () => {
      const network = await open(writeUpscaler(tensors));
      assert.deepEqual([network.info.kind, network.info.scale], ['upscaler', scale]);
      const values = await evaluateImage(network, image.values, image.shape as [number, number, number, number], never);
      assertClose(values, goldens.get(golden)?.values as Float32Array, 1e-5);
      await network.dispose();
    });
  }

  it('also from a PyTorch file', async () => {
    const path = join(temporaryFolder(), 'upscaler.pth');
    writeCheckpoint(path, wrapped(tinyCompactNet(), 'params.'));
    const network = await open(path);
    const values = await evaluateImage(network, image.values, image.shape as [number, number, number, number], never);
    assertClose(values, goldens.get('compact x3')?.values as Float32Array, 1e-5);
    await network.dispose();
  });
});

const edited = (edit: (tensors: TestTensor[]) => TestTensor[]): string =>
  writeUpscaler(edit(tinyRrdbNet({ blocks: 1 })));

const BAD_FILES: readonly (readonly [what: string, path: () => string, code: string, message: RegExp])[] = [
  ['a missing file', () => '/nowhere/upscaler.pth', 'ERR_FILE', /nowhere/],
  ['a folder', () => temporaryFolder(), 'ERR_FILE', /./],
  [
    'a Stable Diffusion model',
    () => tiny.path,
    'ERR_MODEL_UNSUPPORTED',
    /expected an upscaler or a depth estimator, but it holds \d+ tensors/,
  ],
  ['no tensor', () => writeUpscaler([]), 'ERR_MODEL_UNSUPPORTED', /holds no tensors/],
  ['a missing tensor', () => edited((all) => all.slice(0, -1)), 'ERR_MODEL_INCOMPLETE', /conv_last\.bias/],
  [
    'a missing layer',
    () => edited((all) => all.filter(({ name }) => !name.startsWith('conv_hr'))),
    'ERR_MODEL_INCOMPLETE',
    /conv_hr/,
  ],
  [
    'a tensor of another shape',
    () => edited((all) => all.map((t) => (t.name === 'conv_hr.bias' ? { ...t, shape: [6, 2] } : t))),
    'ERR_MODEL_MISMATCH',
    /conv_hr\.bias: expected shape \[12\]/,
  ],
  [
    'a tensor that nothing reads',
    () =>
      edited((all) => [
        ...all,
        { name: 'body.0.rdb1.conv1x1.weight', dtype: 'f32', shape: [1], values: new Float32Array(1) },
      ]),
    'ERR_MODEL_UNSUPPORTED',
    /conv1x1/,
  ],
  [
    'five channels',
    () =>
      writeUpscaler(tinyRrdbNet().map((t) => (t.name === 'conv_first.weight' ? { ...t, shape: [12, 9, 3, 1] } : t))),
    'ERR_MODEL_UNSUPPORTED',
    /9 input channels/,
  ],
  [
    'ten thousand blocks',
    () => edited((all) => all.map((t) => ({ ...t, name: t.name.replace('body.0.rdb2', 'body.9999.rdb2') }))),
    'ERR_MODEL_UNSUPPORTED',
    /10000 blocks/,
  ],
  [
    'two tensors of one name',
    () =>
      edited((all) => [
        ...all,
        ...all.flatMap((t) =>
          t.name.startsWith('conv_hr') ? [{ ...t, name: t.name.replace('conv_hr', 'HRconv') }] : [],
        ),
      ]),
    'ERR_MODEL_CORRUPT',
    /conv_hr/,
  ],
  [
    'a copy of the network beside it',
    () => edited((all) => [...all, ...wrapped(all, 'params.')]),
    'ERR_MODEL_UNSUPPORTED',
    /would go unused: 'params\.conv_first/,
  ],
  [
    'a layer too few',
    () => writeUpscaler(tinyCompactNet().filter(({ name }) => !name.startsWith('body.8'))),
    'ERR_MODEL_UNSUPPORTED',
    /8 layers/,
  ],
  [
    'a result that is no square',
    () => writeUpscaler(tinyCompactNet().map((t) => (t.name === 'body.8.weight' ? { ...t, shape: [30, 9, 3, 3] } : t))),
    'ERR_MODEL_UNSUPPORTED',
    /30 output channels/,
  ],
  [
    'a file that is cut short',
    () => {
      const path = join(temporaryFolder(), 'cut.pth');
      writeFileSync(path, 'PK\x03\x04 and no more');
      return path;
    },
    'ERR_MODEL_CORRUPT',
    /./,
  ],
];

describe('a file is refused that is no sound upscaler:', () => {
  for (const [what, path, code, message] of BAD_FILES) {
    it(what, () => assert.rejects(open(path()), { code, message }));
  }
});

describe('an image is refused', () => {
  const path = writeUpscaler(tinyRrdbNet({ unshuffle: 2, blocks: 1 }));
  const bad: readonly (readonly [what: string, length: number, shape: number[]])[] = [
    ['of two channels', 2 * 16, [1, 2, 4, 4]],
    ['whose sides are no multiples', 3 * 25, [1, 3, 5, 5]],
    ['of another length than its shape', 3 * 16, [1, 3, 4, 5]],
    ['with a side of 0', 0, [1, 3, 0, 4]],
    ['of a side above 65536', 3 * 2 * 70_000, [1, 3, 2, 70_000]],
  ];
  for (const [what, length, shape] of bad) {
    it(what, async () => {
      const network = await open(path);
      const evaluation = evaluateImage(
        network,
        new Float32Array(length),
        shape as [number, number, number, number],
        never,
      );
      await assert.rejects(evaluation, { code: 'ERR_INVALID_ARG_VALUE' });
      await network.dispose();
    });
  }

  it('by a network that was disposed of, and a call that runs then ends', async () => {
    const network = await open(path, { threads: 1 });
    const shape = [1, 3, 512, 512] as const;
    const running = evaluateImage(network, new Float32Array(3 * 512 * 512), shape, never);
    const refused = assert.rejects(running, { code: 'ERR_DISPOSED' });
    await network.dispose();
    await refused;
    await assert.rejects(evaluateImage(network, new Float32Array(12), [1, 3, 2, 2], never), { code: 'ERR_DISPOSED' });
  });

  it('by a constructor: networks are opened', async () => {
    const network = await open(path);
    assert.throws(() => new (network.constructor as new () => unknown)(), { code: 'ERR_INVALID_ARG_TYPE' });
    await network.dispose();
  });
});
