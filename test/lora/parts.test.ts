// LoRAs that hold more than products of attention: whole differences of every tensor of a model, biases, norms, configurations of PEFT.
// Each must generate the same image as a checkpoint to which it was added by hand.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it, test } from 'node:test';
import { loadModel, type Txt2ImgOptions } from '../../lib/index.ts';
import type { LoraFile } from '../../lib/native/contract.ts';
import { never } from '../support/addon.ts';
import { assertClose, largestError } from '../support/compare.ts';
import type { DiffusersNames } from '../support/diffusers-folder.ts';
import { writeGguf } from '../support/gguf.ts';
import { golden } from '../support/golden.ts';
import { loraFolder, random, tensor } from '../support/loras.ts';
import { openModel, type TestModel } from '../support/networks.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { xlArchitecture } from '../support/tiny-architectures.ts';
import { tinyModel } from '../support/tiny-model.ts';

const names = golden<DiffusersNames>('networks.json');
const { folder, write } = loraFolder('lora-parts');

let base: TestTensor[] = [];
const tinyPath = tinyModel({
  edit: (tensors) => {
    base = tensors;
    return tensors;
  },
}).path;

/** Writes the tiny model with something added to some of its tensors. */
const merged = (sums: ReadonlyMap<string, Float32Array>): string =>
  tinyModel({
    edit: () =>
      base.map((weight) => {
        const sum = sums.get(weight.name);
        return sum ? { ...weight, values: weight.values.map((value, i) => value + (sum[i] as number)) } : weight;
      }),
  }).path;

/** Without the type, `weight` or `bias`, of a tensor. */
const layerOf = (name: string) => name.replace(/\.(weight|bias)$/, '');

const open = (path: string): Promise<TestModel> =>
  openModel({ model: path }, { device: 'cpu', threads: 1, precision: 'f32', cancellation: never });

/** What the text encoder and the UNet say to fixed inputs. */
async function answers(model: TestModel): Promise<Float32Array[]> {
  const tokens = Int32Array.from({ length: 77 }, (_, i) => (i * 37) % 1000);
  const context = Float32Array.from({ length: 77 * 64 }, (_, i) => Math.sin(i));
  const latent = Float32Array.from({ length: 4 * 6 * 4 }, (_, i) => Math.cos(i));
  return [
    (await model.encodeText(0, tokens, 1, never)).hidden,
    await model.predict(latent, [1, 4, 6, 4], Float32Array.of(500), { context, contextTokens: 77 }, never),
  ];
}

/** Checks that LoRAs on the tiny model give what another checkpoint does. */
async function assertMerged(loras: readonly LoraFile[], expected: string, path = tinyPath): Promise<void> {
  const [model, expectation] = await Promise.all([open(path), open(expected)]);
  try {
    const untouched = await answers(model);
    const reports = await model.setLoras(loras, never, true);
    assert.ok(reports.every(({ applied, tensors }) => applied === tensors));
    const [received, right] = [await answers(model), await answers(expectation)];
    assert.ok(
      right.some((one, i) => largestError(one, untouched[i] as Float32Array) > 0.01),
      'it changes something',
    );
    received.forEach((one, i) => {
      assertClose(one, right[i] as Float32Array, 2e-5);
    });
    await model.setLoras([], never);
    assert.deepEqual(await answers(model), untouched, 'and is gone without a trace');
  } finally {
    await Promise.all([model.dispose(), expectation.dispose()]);
  }
}

describe('whole differences, of every tensor that a model has', () => {
  const flat = (layer: string) => layer.replaceAll('.', '_');
  const spellings: Record<string, (component: 'unet' | 'text_encoder', original: string, own: string) => string> = {
    'names of kohya-ss': (component, _, own) =>
      component === 'unet' ? `lora_unet_${flat(own)}` : `lora_te_text_model_${flat(own)}`,
    'original names': (component, original, own) =>
      component === 'unet'
        ? `lora_unet_${flat(original.replace('model.diffusion_model.', ''))}`
        : `lora_te1_text_model_${flat(own)}`,
    'names of diffusers': (component, _, own) =>
      component === 'unet' ? `unet.${own}` : `text_encoder.text_model.${own}`,
    "names of PEFT's own files": (component, _, own) =>
      component === 'unet' ? `base_model.model.${own}` : `base_model.model.text_model.${own}`,
    'names of ComfyUI': (component, original, own) =>
      component === 'unet'
        ? original.replace('model.diffusion_model.', 'diffusion_model.')
        : `text_encoders.clip_l.transformer.text_model.${own}`,
  };
  for (const [what, spell] of Object.entries(spellings)) {
    it(`in the ${what}`, async () => {
      const sums = new Map<string, Float32Array>();
      const lora: TestTensor[] = [];
      for (const component of ['unet', 'text_encoder'] as const) {
        for (const [original, own] of Object.entries(names[component])) {
          const { shape, values } = base.find(({ name }) => name === original) as TestTensor;
          const layer = spell(component, layerOf(original), layerOf(own));
          const bias = original.endsWith('.bias');
          const norm = /norm|ln_|in_layers\.0|out_layers\.0|out\.0\./.test(original);
          const part = norm ? (bias ? 'b_norm' : 'w_norm') : bias ? 'diff_b' : 'diff';
          const difference = random(values.length, 0.05);
          lora.push(tensor(`${layer}.${part}`, shape, difference));
          sums.set(
            original,
            difference.map((value) => 0.8 * value),
          );
        }
      }
      assert.ok(lora.length > 300);
      await assertMerged([{ path: write(flat(what), lora), weight: 0.8 }], merged(sums));
    });
  }

  it('of a model in 16 bits, whose norms are converted', async () => {
    const [layer, path] = ['unet.mid_block.resnets.0.norm1', join(folder, 'half.gguf')];
    const original = 'model.diffusion_model.middle_block.0.in_layers.0.weight';
    const weight = base.find(({ name }) => name === original) as TestTensor;
    const difference = random(weight.values.length, 0.5);
    writeGguf(path, base, ({ name }) => (name === original ? 'f16' : 'f32'));
    const [model, expectation] = await Promise.all([open(path), open(merged(new Map([[original, difference]])))]);
    try {
      const untouched = await answers(model);
      await model.setLoras(
        [{ path: write('half', [tensor(`${layer}.w_norm`, weight.shape, difference)]), weight: 1 }],
        never,
      );
      const [, prediction] = await answers(model);
      assertClose(prediction as Float32Array, (await answers(expectation))[1] as Float32Array, 5e-3);
      assert.ok(largestError(prediction as Float32Array, untouched[1] as Float32Array) > 0.02);
      await model.setLoras([], never);
      assert.deepEqual(await answers(model), untouched);
    } finally {
      await Promise.all([model.dispose(), expectation.dispose()]);
    }
  });
});

/** A layer of the UNet with a bias, of `[outputs, inputs]`. */
const layer = 'mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0';
const original = 'model.diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_out.0';
const [outputs, inputs] = [64, 64];

/** Rank 4 and what it adds to the weight at a scale of 1. */
function product(up: string, down: string): { tensors: TestTensor[]; sum: Float32Array } {
  const a = random(4 * inputs);
  const b = random(outputs * 4);
  const sum = Float32Array.from({ length: outputs * inputs }, (_, i) => {
    const [row, column] = [Math.floor(i / inputs), i % inputs];
    return [0, 1, 2, 3].reduce((all, r) => all + (b[row * 4 + r] as number) * (a[r * inputs + column] as number), 0);
  });
  return { tensors: [tensor(up, [outputs, 4], b), tensor(down, [4, inputs], a)], sum };
}
const times = (factor: number, values: Float32Array) => values.map((value) => factor * value);

test('the bias of a second factor is added to that of the layer, at the scale of the product', async () => {
  for (const [up, down, bias] of [
    ['lora_B.weight', 'lora_A.weight', 'lora_B.bias'],
    ['lora_B.mine.weight', 'lora_A.mine.weight', 'lora_B.mine.bias'],
    ['lora_up.weight', 'lora_down.weight', 'lora_up.bias'],
    ['lora.up.weight', 'lora.down.weight', 'lora.up.bias'],
  ] as const) {
    const { tensors, sum } = product(`unet.${layer}.${up}`, `unet.${layer}.${down}`);
    const shift = random(outputs, 0.5);
    const path = write('bias', [
      ...tensors,
      tensor(`unet.${layer}.${bias}`, [outputs], shift),
      tensor(`unet.${layer}.alpha`, [], Float32Array.of(2)),
    ]);
    const sums = new Map([
      [`${original}.weight`, times(0.5 * 0.7, sum)],
      [`${original}.bias`, times(0.5 * 0.7, shift)],
    ]);
    await assertMerged([{ path, weight: 0.7 }], merged(sums));
  }
});

test("PEFT's adapters of tables of vectors are added to these", async () => {
  const name = 'cond_stage_model.transformer.text_model.embeddings.token_embedding.weight';
  const [a, b] = [random(1000, 0.3), random(64, 0.3)];
  const prefix = 'text_encoder.text_model.embeddings.token_embedding.lora_embedding_';
  const path = write('table', [tensor(`${prefix}A`, [1, 1000], a), tensor(`${prefix}B`, [64, 1], b)]);
  const sum = Float32Array.from(
    { length: 64_000 },
    (_, i) => (a[Math.floor(i / 64)] as number) * (b[i % 64] as number),
  );
  await assertMerged([{ path, weight: 1 }], merged(new Map([[name, sum]])));
});

test('text encoders may have a weight of their own', async () => {
  const text = 'cond_stage_model.transformer.text_model.encoder.layers.0.layer_norm1.weight';
  const [first, second] = [random(64, 0.5), random(outputs, 0.5)];
  const path = write('two', [
    tensor('lora_te_text_model_encoder_layers_0_layer_norm1.w_norm', [64], first),
    tensor(`unet.${layer}.diff_b`, [outputs], second),
  ]);
  const sums = new Map([
    [text, times(0.25, first)],
    [`${original}.bias`, times(2, second)],
  ]);
  await assertMerged([{ path, weight: 2, textEncoderWeight: 0.25 }], merged(sums));
});

test('the projection of OpenCLIP is the transpose of what adapters know', async () => {
  let tensors: TestTensor[] = [];
  const { path } = tinyModel({
    architecture: xlArchitecture,
    edit: (all) => {
      tensors = all;
      return all;
    },
  });
  const name = 'conditioner.embedders.1.model.text_projection';
  const { shape } = tensors.find((one) => one.name === name) as TestTensor;
  const side = shape[0] as number;
  const [up, down] = [random(side, 0.5), random(side, 0.5)];
  const lora = write('projection', [
    tensor('lora_te2_text_projection.lora_up.weight', [side, 1], up),
    tensor('lora_te2_text_projection.lora_down.weight', [1, side], down),
  ]);
  const expected = tinyModel({
    architecture: xlArchitecture,
    edit: () =>
      tensors.map((one) =>
        one.name !== name
          ? one
          : {
              ...one,
              values: one.values.map(
                (value, i) => value + (up[i % side] as number) * (down[Math.floor(i / side)] as number),
              ),
            },
      ),
  }).path;
  const pooled = async (from: string, loras: LoraFile[]) => {
    const model = await open(from);
    try {
      await model.setLoras(loras, never, true);
      const tokens = Int32Array.from({ length: 77 }, (_, i) => (i * 37) % 1000);
      return (await model.encodeText(1, tokens, 1, never)).pooled;
    } finally {
      await model.dispose();
    }
  };
  const right = await pooled(expected, []);
  assert.ok(largestError(right, await pooled(path, [])) > 0.01);
  assertClose(await pooled(path, [{ path: lora, weight: 1 }]), right, 2e-5);
});

describe('the strength of an adapter of PEFT is what its configuration says', () => {
  const parts = [`base_model.model.${layer}.lora_B.weight`, `base_model.model.${layer}.lora_A.weight`] as const;
  const scales: readonly [what: string, config: object, scale: number][] = [
    ['alpha by rank', { peft_type: 'LORA', r: 4, lora_alpha: 16 }, 4],
    ['alpha by the root of the rank', { r: 4, lora_alpha: 3, use_rslora: true }, 1.5],
    ['a pattern for alpha', { r: 4, lora_alpha: 16, alpha_pattern: { x: 1, 'mid_block.*to_out.0': 10 } }, 2.5],
    ['a pattern for another layer', { r: 4, lora_alpha: 16, alpha_pattern: { to_q: 1 }, rank_pattern: { to_q: 9 } }, 4],
    ['a fraction', { r: 4, lora_alpha: 6.5 }, 1.625],
  ];
  for (const [what, config, scale] of scales) {
    it(what, async () => {
      const { tensors, sum } = product(...parts);
      const place = join(folder, what);
      mkdirSync(place);
      const path = join(place, 'adapter_model.safetensors');
      writeSafetensors(path, tensors);
      writeFileSync(join(place, 'adapter_config.json'), JSON.stringify(config));
      const expected = merged(new Map([[`${original}.weight`, times(scale, sum)]]));
      await assertMerged([{ path, weight: 1 }], expected);
      const metadata = Object.fromEntries(Object.entries(config).map(([key, value]) => [`unet.${key}`, value]));
      const saved = tensors.map((one) => ({ ...one, name: one.name.replace('base_model.model.', 'unet.') }));
      const one = write('metadata', saved, { lora_adapter_metadata: JSON.stringify(metadata) });
      await assertMerged([{ path: one, weight: 1 }], expected);
    });
  }

  it('of LoKr with whole factors too, which say nothing of a rank', async () => {
    const place = join(folder, 'lokr');
    mkdirSync(place);
    const [w1, w2] = [random(16, 0.5), random(256, 0.5)];
    const path = join(place, 'adapter_model.safetensors');
    writeSafetensors(path, [
      tensor(`base_model.model.${layer}.lokr_w1`, [4, 4], w1),
      tensor(`base_model.model.${layer}.lokr_w2`, [16, 16], w2),
    ]);
    writeFileSync(join(place, 'adapter_config.json'), JSON.stringify({ peft_type: 'LOKR', r: 8, alpha: 4 }));
    const sum = Float32Array.from({ length: outputs * inputs }, (_, i) => {
      const [row, column] = [Math.floor(i / inputs), i % inputs];
      const first = w1[Math.floor(row / 16) * 4 + Math.floor(column / 16)] as number;
      return 0.5 * first * (w2[(row % 16) * 16 + (column % 16)] as number);
    });
    await assertMerged([{ path, weight: 1 }], merged(new Map([[`${original}.weight`, sum]])));
  });
});

test('a change of the configuration is seen', async () => {
  const place = join(folder, 'changing');
  mkdirSync(place);
  const path = join(place, 'adapter_model.safetensors');
  const { tensors, sum } = product(
    `base_model.model.${layer}.lora_B.weight`,
    `base_model.model.${layer}.lora_A.weight`,
  );
  writeSafetensors(path, tensors);
  const [model, expectation] = await Promise.all([
    open(tinyPath),
    open(merged(new Map([[`${original}.weight`, times(2, sum)]]))),
  ]);
  try {
    for (const alpha of [40, 8]) {
      writeFileSync(join(place, 'adapter_config.json'), JSON.stringify({ r: 4, lora_alpha: alpha }));
      await model.setLoras([{ path, weight: 1 }], never);
      await answers(model);
    }
    const [, prediction] = await answers(model);
    assertClose(prediction as Float32Array, (await answers(expectation))[1] as Float32Array, 2e-5);
  } finally {
    await Promise.all([model.dispose(), expectation.dispose()]);
  }
});

describe('what is not applied', () => {
  const { tensors } = product(`unet.${layer}.lora_B.weight`, `unet.${layer}.lora_A.weight`);
  let model: TestModel;
  before(async () => {
    model = await open(tinyPath);
  });
  after(() => model.dispose());

  const refused: readonly [what: string, tensors: TestTensor[], message: RegExp][] = [
    ['GLoRA', [tensor(`unet.${layer}.a1.weight`, [4, 4])], /is a GLoRA/],
    ['OFT', [tensor(`lora_unet_x.oft_blocks`, [2, 4, 4])], /is a OFT/],
    ['BOFT', [tensor(`lora_unet_x.oft_blocks`, [2, 2, 4, 4])], /is a BOFT/],
    ["PEFT's BOFT", [tensor(`base_model.model.${layer}.boft_R.default`, [2, 2, 4, 4])], /is a BOFT/],
    ['(IA)^3', [tensor('lora_unet_x.on_input', []), tensor('lora_unet_x.weight', [4])], /is a \(IA\)\^3/],
    ["PEFT's (IA)^3", [tensor(`base_model.model.${layer}.ia3_l`, [1, 4])], /is a \(IA\)\^3/],
    ['DoRA', [tensor(`unet.${layer}.lora_magnitude_vector.default.weight`, [4])], /is a DoRA/],
  ];
  for (const [what, kind, message] of refused) {
    it(`${what} is refused by its name`, async () => {
      const path = write('refused', [...tensors, ...kind]);
      await assert.rejects(model.setLoras([{ path, weight: 1 }], never), { code: 'ERR_MODEL_UNSUPPORTED', message });
    });
  }

  it('a kind of PEFT is refused by the name in its configuration', async () => {
    const place = join(folder, 'kind');
    mkdirSync(place);
    const path = join(place, 'adapter_model.safetensors');
    writeSafetensors(path, tensors);
    for (const [config, message] of [
      [{ peft_type: 'VERA' }, /PEFT type 'VERA'/],
      [{ peft_type: 'LORA', use_dora: true }, /is a DoRA/],
      [{ peft_type: 'LORA', init_lora_weights: 'pissa' }, /'pissa'/],
    ] as const) {
      writeFileSync(join(place, 'adapter_config.json'), JSON.stringify(config));
      await assert.rejects(model.setLoras([{ path, weight: 1 }], never), { code: 'ERR_MODEL_UNSUPPORTED', message });
    }
  });

  it('two adapters in one file are refused', async () => {
    const other = product(`unet.${layer}.lora_B.other.weight`, `unet.${layer}.lora_A.other.weight`);
    const path = write('pair', [...tensors, ...other.tensors]);
    const refusal = { code: 'ERR_MODEL_CORRUPT', message: /a file may hold only one adapter/ };
    await assert.rejects(model.setLoras([{ path, weight: 1 }], never), refusal);
  });

  it('tensors without a place in a file that otherwise fits are reported by kind and count in every run, or rejected on demand', async () => {
    const path = write('left', [
      ...tensors,
      tensor('text_projection', [2, 2]),
      tensor('lora_unet_elsewhere.diff_b', [4]),
      tensor('lora_unet_elsewhere.lora_up.weight', [4, 1]),
      tensor('lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.diff_b', [64]),
    ]);
    const words =
      /^4 tensors of '.*left\.safetensors' were not applied: diff_b \(2\), lora_up \(1\), text_projection \(1\); /;
    const messages: string[] = [];
    await using opened = await loadModel(tinyModel({ vocabulary: 49408 }).path, {
      device: 'cpu',
      threads: 1,
      logger: { warn: (message) => messages.push(message) },
    });
    const options: Txt2ImgOptions = { prompt: 'a', loras: [{ path }], steps: 1, width: 32, height: 32 };
    for (let i = 1; i <= 2; i++) {
      const { warnings, loras } = await opened.txt2img(options);
      assert.match(warnings.join('\n'), words);
      assert.deepEqual([loras[0]?.applied, loras[0]?.tensors], [2, 6]);
      assert.equal(messages.length, i);
    }
    const refusal = { code: 'ERR_MODEL_MISMATCH', message: words };
    await assert.rejects(async () => opened.txt2img({ ...options, strictLoras: true }), refusal);
    assert.deepEqual((await opened.txt2img({ ...options, loras: [] })).warnings, []);
    const whole = { ...options, loras: [{ path: write('whole', tensors) }], strictLoras: true };
    assert.deepEqual((await opened.txt2img(whole)).warnings, []);
  });
});

test('a PEFT adapter without its configuration is reported', async () => {
  const { tensors } = product(`base_model.model.${layer}.lora_B.weight`, `base_model.model.${layer}.lora_A.weight`);
  const messages: string[] = [];
  const model = await openModel(
    { model: tinyPath },
    {
      device: 'cpu',
      threads: 1,
      cancellation: never,
      onLog: (level, message) => messages.push(`${level}: ${message}`),
    },
  );
  await model.setLoras([{ path: write('lonely', tensors), weight: 1 }], never, true);
  assert.match(
    messages.join('\n'),
    /^warn: '.*lonely\.safetensors' is a PEFT adapter, whose strength is in adapter_config/,
  );
  const alpha = tensor(`base_model.model.${layer}.alpha`, [], Float32Array.of(4));
  await model.setLoras([{ path: write('sure', [...tensors, alpha]), weight: 1 }], never, true);
  assert.equal(messages.length, 1);
  await model.dispose();
});
