// UNets controlled by ControlNets against diffusers, in float32, and what the native side refuses. The goldens come from
// test/reference/control.py.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import { embedNumbers } from '../../lib/family/sinusoids.ts';
import { never } from '../support/addon.ts';
import { assertClose } from '../support/compare.ts';
import { writeGguf } from '../support/gguf.ts';
import { golden, goldenTensors } from '../support/golden.ts';
import { openModel, type TestCondition, type TestControl, type TestModel } from '../support/networks.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import {
  sd2Architecture,
  type TinyModelArchitecture,
  tinyArchitecture,
  xlArchitecture,
} from '../support/tiny-architectures.ts';
import { tinyControlNet } from '../support/tiny-control-net.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import { STORED } from '../support/tiny-projections.ts';
import { writeCheckpoint } from '../support/torch-file.ts';

type Shape = readonly [number, number, number, number];

const goldens = goldenTensors('control.safetensors');
const { names } = golden<{ names: Record<string, string> }>('control.json');

const KINDS: Record<string, { architecture: TinyModelArchitecture; numbers?: readonly number[] }> = {
  tiny: { architecture: tinyArchitecture },
  sd2: { architecture: sd2Architecture },
  xl: { architecture: xlArchitecture, numbers: [1024, 768, 8, 16, 512, 640] },
};

function tensor(name: string): { shape: Shape; values: Float32Array } {
  const found = goldens.get(name);
  assert.ok(found, `a golden ${name}`);
  return found as unknown as { shape: Shape; values: Float32Array };
}

const open = (architecture: TinyModelArchitecture): Promise<TestModel> =>
  openModel(
    { model: tinyModel({ architecture }).path },
    { device: 'cpu', threads: 1, precision: 'f32', cancellation: never },
  );

function control(kind: string, net: number, strength: number): TestControl {
  const hint = tensor(`${kind}.hint${net}`);
  return { net, hint: hint.values, shape: hint.shape, strength };
}

async function predict(
  model: TestModel,
  kind: string,
  controls: readonly TestControl[],
  more: Partial<TestCondition> = {},
): Promise<Float32Array> {
  const latent = tensor(`${kind}.latent`);
  const { numbers } = KINDS[kind] as (typeof KINDS)['tiny'];
  const pooled = numbers && tensor(`${kind}.pooled`).values;
  const rows =
    numbers && pooled && [0, 1].flatMap((i) => [...pooled.subarray(128 * i, 128 * i + 128), ...embedNumbers(numbers)]);
  return model.predict(
    latent.values,
    latent.shape,
    Float32Array.of(601.5, 120),
    {
      context: tensor(`${kind}.context`).values,
      contextTokens: 77,
      ...(rows && { vector: Float32Array.from(rows) }),
      controls,
      ...more,
    },
    never,
  );
}

for (const [kind, { architecture }] of Object.entries(KINDS)) {
  describe(`a UNet controlled by ControlNets agrees with diffusers: ${kind}`, () => {
    it('whichever way its projections are stored', async () => {
      const model = await open(architecture);
      for (const edit of Object.values(STORED)) {
        await model.setControlNets([tinyControlNet({ architecture, edit })], never);
        assertClose(await predict(model, kind, [control(kind, 0, 0.8)]), tensor(`${kind}.one`).values);
      }
      await model.dispose();
    });

    it('one, two, and none', async () => {
      const model = await open(architecture);
      await model.setControlNets(
        [2, 3].map((seed) => tinyControlNet({ seed, architecture })),
        never,
      );
      const one = control(kind, 0, 0.8);
      assertClose(await predict(model, kind, [one]), tensor(`${kind}.one`).values);
      assertClose(await predict(model, kind, [one, control(kind, 1, 1.25)]), tensor(`${kind}.two`).values);
      assertClose(await predict(model, kind, []), tensor(`${kind}.none`).values);
      await model.dispose();
    });
  });
}

test('what is done to the attention of the UNet is not done to that of the ControlNet', async () => {
  const model = await open(tinyArchitecture);
  await model.setControlNets([tinyControlNet()], never);
  const prediction = await predict(model, 'tiny', [control('tiny', 0, 0.8)], { identityAttention: true });
  assertClose(prediction, tensor('tiny.identity').values, 2e-5);
  await model.dispose();
});

const renamed = (rename: (name: string) => string) => (tensors: TestTensor[]) =>
  tensors.map((t) => ({ ...t, name: rename(t.name) }));

describe('a ControlNet is recognised in every spelling', () => {
  const folder = join(temporaryFolder(), 'controlnet-folder');
  mkdirSync(folder, { recursive: true });
  const diffusers = renamed((name) => names[name] as string);
  const toFolder = (tensors: TestTensor[]): TestTensor[] => {
    writeSafetensors(join(folder, 'diffusion_pytorch_model.safetensors'), diffusers(tensors));
    return tensors;
  };
  const tensorsOf = (): TestTensor[] => {
    let tensors: TestTensor[] = [];
    tinyControlNet({
      edit: (all) => {
        tensors = all;
        return all;
      },
    });
    return tensors;
  };
  const spellings: Record<string, () => string> = {
    'the original, without a prefix': () =>
      tinyControlNet({ edit: renamed((name) => name.slice('control_model.'.length)) }),
    diffusers: () => tinyControlNet({ edit: diffusers }),
    'a diffusers folder': () => {
      tinyControlNet({ edit: toFolder });
      return folder;
    },
    'a PyTorch checkpoint': () => {
      const path = join(temporaryFolder(), 'control.pth');
      writeCheckpoint(path, tensorsOf(), [], '');
      return path;
    },
    GGUF: () => {
      const path = join(temporaryFolder(), 'control.gguf');
      writeGguf(path, tensorsOf(), () => 'f32');
      return path;
    },
    'beside a whole model': () =>
      tinyControlNet({
        edit: (tensors) => [
          ...tensors,
          { name: 'model.diffusion_model.out.2.bias', dtype: 'f32', shape: [4], values: new Float32Array(4) },
        ],
      }),
  };
  for (const [name, path] of Object.entries(spellings)) {
    it(name, async () => {
      const model = await open(tinyArchitecture);
      await model.setControlNets([path()], never);
      assertClose(await predict(model, 'tiny', [control('tiny', 0, 0.8)]), tensor('tiny.one').values);
      await model.dispose();
    });
  }
});

test('ControlNets come and go: what stays keeps its answers', async () => {
  const model = await open(tinyArchitecture);
  const [first, second] = [2, 3].map((seed) => tinyControlNet({ seed })) as [string, string];
  const one = () => predict(model, 'tiny', [control('tiny', 0, 0.8)]);
  await model.setControlNets([first], never);
  const expected = await one();
  await model.setControlNets([second, first], never);
  const swapped = { ...control('tiny', 0, 0.8), net: 1 };
  assert.deepEqual(await predict(model, 'tiny', [swapped]), expected);
  assert.notDeepEqual(await one(), expected);
  await model.setControlNets([], never);
  await assert.rejects(one(), { code: 'ERR_INVALID_ARG_TYPE', message: /a handle/ });
  await model.setControlNets([first], never);
  assert.deepEqual(await one(), expected);
  await model.dispose();
});

const drop = (name: string) => (tensors: TestTensor[]) => tensors.filter((t) => t.name !== name);

const REFUSED: Record<string, [() => string, code: string, message: RegExp]> = {
  'a missing file': [() => '/nowhere/control.safetensors', 'ERR_FILE', /nowhere/],
  'a whole model': [() => tinyModel().path, 'ERR_MODEL_UNSUPPORTED', /holds no tensor of a ControlNet/],
  'one of another family': [
    () => tinyControlNet({ architecture: sd2Architecture }),
    'ERR_MODEL_MISMATCH',
    /family 'sd1', but its cross-attention width is 128 and the model's is 64/,
  ],
  'one of XL': [() => tinyControlNet({ architecture: xlArchitecture }), 'ERR_MODEL_MISMATCH', /family 'sd1'/],
  'one with other blocks': [
    () =>
      tinyControlNet({
        architecture: { ...tinyArchitecture, unet: { ...tinyArchitecture.unet, resBlocks: 1 } },
      }),
    'ERR_MODEL_MISMATCH',
    /its blocks differ/,
  ],
  'one for another VAE': [
    () => tinyControlNet({ architecture: { ...tinyArchitecture, vae: sd2Architecture.vae } }),
    'ERR_MODEL_MISMATCH',
    /scale factor .* is 2 and the model's is 8/,
  ],
  'one that lacks a tensor': [
    () => tinyControlNet({ edit: drop('control_model.zero_convs.3.0.weight') }),
    'ERR_MODEL_INCOMPLETE',
    /zero_convs\.3\.0\.weight/,
  ],
  'one that lacks a layer of its hint': [
    () => tinyControlNet({ edit: (tensors) => tensors.filter(({ name }) => !name.includes('input_hint_block.14')) }),
    'ERR_MODEL_UNSUPPORTED',
    /ControlNet is not supported.*7 convolutions/,
  ],
  'one with tensors of no use': [
    () =>
      tinyControlNet({
        edit: (tensors) => [
          ...tensors,
          { name: 'control_model.task_embedding', dtype: 'f32', shape: [6, 32], values: new Float32Array(192) },
        ],
      }),
    'ERR_MODEL_UNSUPPORTED',
    /would go unused.*task_embedding/,
  ],
  'a tensor of another shape': [
    () =>
      tinyControlNet({
        edit: (tensors) =>
          tensors.map((t) => (t.name.endsWith('middle_block_out.0.bias') ? { ...t, shape: [2, 32] } : t)),
      }),
    'ERR_MODEL_MISMATCH',
    /middle_block_out\.0\.bias/,
  ],
};

describe('a file that is no ControlNet for the model is refused, and what is open stays open', () => {
  for (const [name, [path, code, message]] of Object.entries(REFUSED)) {
    it(name, async () => {
      const model = await open(tinyArchitecture);
      const good = tinyControlNet();
      await model.setControlNets([good], never);
      await assert.rejects(model.setControlNets([path()], never), { code, message });
      await assert.rejects(model.setControlNets([good, path()], never), { code });
      assertClose(await predict(model, 'tiny', [control('tiny', 0, 0.8)]), tensor('tiny.one').values);
      await model.dispose();
    });
  }
});

test('wrong arguments are refused before any work', async () => {
  const model = await open(tinyArchitecture);
  const path = tinyControlNet();
  await assert.rejects(model.native.openControlNet(`${path}\0`, never), { code: 'ERR_INVALID_ARG_VALUE' });
  await assert.rejects(model.native.openControlNet(1 as never, never), { code: 'ERR_INVALID_ARG_TYPE' });
  await model.setControlNets([path], never);
  const good = control('tiny', 0, 1);
  const wrong: unknown[] = [
    { ...good, net: 1 },
    { ...good, net: -1 },
    { ...good, net: 0.5 },
    { ...good, strength: Number.NaN },
    { ...good, strength: Number.POSITIVE_INFINITY },
    { ...good, strength: 1e300 },
    { ...good, strength: '1' },
    { ...good, hint: good.hint.subarray(1) },
    { ...good, hint: [...good.hint] },
    { ...good, shape: [1, 3, 48, 64] },
    { ...good, shape: [3, 1, 64, 48] },
  ];
  await assert.rejects(predict(model, 'tiny', Array(65).fill(good)), { code: 'ERR_INVALID_ARG_VALUE' });
  for (const value of wrong) {
    await assert.rejects(predict(model, 'tiny', [value as TestControl]), { code: /^ERR_INVALID_ARG_/ }, String(value));
  }
  await model.dispose();
});
