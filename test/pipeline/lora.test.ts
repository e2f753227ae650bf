// LoRAs: every form against its published formula, every spelling of layers against merged checkpoints, and what happens when a
// file does not fit. The goldens come from test/reference/loras.py.

import assert from 'node:assert/strict';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { loadModel, type Model } from '../../lib/index.ts';
import { addon, never } from '../support/addon.ts';
import { assertClose, largestError, psnr } from '../support/compare.ts';
import type { DiffusersNames } from '../support/diffusers-folder.ts';
import { q8Mix, writeGguf } from '../support/gguf.ts';
import { golden, goldenTensors } from '../support/golden.ts';
import { openModel, type TestModel } from '../support/networks.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

const goldens = goldenTensors('loras.safetensors');
const cases = golden<{ name: string; weight: number; metadata?: Record<string, string> }[]>('loras.json');
const names = golden<DiffusersNames>('networks.json');

const folder = join(temporaryFolder(), 'loras');
mkdirSync(folder);

function write(name: string, tensors: readonly TestTensor[], metadata?: Record<string, string>): string {
  const path = join(folder, `${name}.safetensors`);
  writeSafetensors(path, tensors, metadata);
  return path;
}

const tensor = (name: string, shape: number[], values: ArrayLike<number>): TestTensor => ({
  name,
  dtype: 'f32',
  shape,
  values: Float32Array.from(values),
});

const values = (name: string): Float32Array => goldens.get(name)?.values as Float32Array;

/** What the text encoder and the UNet say about the golden inputs. */
async function answers(model: TestModel): Promise<Float32Array[]> {
  const tokens = goldens.get('tokens')?.values as Int32Array;
  const context = values('context');
  return [
    (await model.encodeText(0, tokens, 1, never)).hidden,
    await model.predict(values('latent'), [1, 4, 6, 4], Float32Array.of(500), { context, contextTokens: 77 }, never),
  ];
}

let base: TestTensor[] = [];
const tinyPath = tinyModel({
  edit: (tensors) => {
    base = tensors;
    return tensors;
  },
}).path;

const openTiny = (path = tinyPath): Promise<TestModel> =>
  openModel({ model: path }, { device: 'cpu', threads: 1, precision: 'f32', cancellation: never });

const equal = (a: readonly Float32Array[], b: readonly Float32Array[]): boolean =>
  a.every((one, i) => largestError(one, b[i] as Float32Array) === 0);

describe('LoRAs of every form change the networks as their formulas say', () => {
  let model: TestModel;
  let untouched: Float32Array[];
  before(async () => {
    model = await openTiny();
    untouched = await answers(model);
  });
  after(() => model.dispose());

  for (const { name, weight, metadata } of cases) {
    it(name, async () => {
      const tensors = [...goldens]
        .filter(([key]) => key.startsWith(`${name}/`))
        .map(([key, { shape, values }]) => tensor(key.slice(name.length + 1), shape, values));
      const path = write(name, tensors, metadata);
      const [report] = await model.setLoras([{ path, weight }], never);
      assert.deepEqual(report, { path, weight, applied: tensors.length, tensors: tensors.length });
      const [hidden, prediction] = await answers(model);
      const seventh = hidden?.filter((_, i) => Math.floor(i / 64) % 7 === 0) as Float32Array;
      assertClose(seventh, values(`${name}.hidden`), 2e-5);
      assertClose(prediction as Float32Array, values(`${name}.prediction`), 2e-5);
      assert.ok(largestError(prediction as Float32Array, untouched[1] as Float32Array) > 0.01, 'it changes something');
    });
  }

  it('and the model is as before when they are gone', async () => {
    await model.setLoras([], never);
    assert.ok(equal(await answers(model), untouched));
  });
});

/** A LoRA of rank 1 for every matrix and kernel of both networks, and the checkpoint that it is merged into. */
function everyLayer(spell: (component: 'unet' | 'text_encoder', layer: string) => [up: string, down: string]): {
  lora: TestTensor[];
  merged: TestTensor[];
} {
  const lora: TestTensor[] = [];
  let seed = 1;
  const random = (n: number) => Float32Array.from({ length: n }, () => Math.sin(seed++ * 12.9898) * 0.15);
  const spelled = new Map<string, [string, string]>();
  for (const component of ['unet', 'text_encoder'] as const) {
    for (const [original, own] of Object.entries(names[component])) {
      if (!original.includes('embeddings')) spelled.set(original, spell(component, own.replace(/\.weight$/, '')));
    }
  }
  const merged = base.map((weight) => {
    const spelling = spelled.get(weight.name);
    if (!spelling || weight.shape.length < 2) return weight;
    const rows = weight.shape[0] as number;
    const [up, down] = [random(rows), random(weight.values.length / rows)];
    const kernel = weight.shape.length > 2;
    lora.push(tensor(spelling[0], kernel ? [rows, 1, 1, 1] : [rows, 1], up));
    lora.push(tensor(spelling[1], [1, ...weight.shape.slice(1)], down));
    const sum = weight.values.map(
      (value, i) => value + (up[Math.floor(i / down.length)] as number) * (down[i % down.length] as number),
    );
    return { ...weight, values: sum };
  });
  return { lora, merged };
}

describe('LoRAs find every layer of the model', () => {
  const flat = (layer: string) => layer.replaceAll('.', '_');
  const text = (layer: string) => (layer.startsWith('text_model.') ? layer : `text_model.${layer}`);
  const spellings: Record<string, Parameters<typeof everyLayer>[0]> = {
    'of kohya-ss': (component, layer) => {
      const name = component === 'unet' ? `lora_unet_${flat(layer)}` : `lora_te_${flat(text(layer))}`;
      return [`${name}.lora_up.weight`, `${name}.lora_down.weight`];
    },
    'of kohya-ss for two text encoders': (component, layer) => {
      const name = component === 'unet' ? `lora_unet_${flat(layer)}` : `lora_te1_${flat(text(layer))}`;
      return [`${name}.lora_up.weight`, `${name}.lora_down.weight`];
    },
    'of PEFT': (component, layer) => {
      const name = component === 'unet' ? `unet.${layer}` : `text_encoder.${text(layer)}`;
      return [`${name}.lora_B.weight`, `${name}.lora_A.weight`];
    },
    'of earlier diffusers': (component, layer) => {
      const name = component === 'unet' ? `unet.${layer}` : `text_encoder.${text(layer)}`;
      const attention = /^(.*\.attn\d)\.(to_[qkv]|to_out)(?:\.0)?$/.exec(name);
      if (attention)
        return [
          `${attention[1]}.processor.${attention[2]}_lora.up.weight`,
          `${attention[1]}.processor.${attention[2]}_lora.down.weight`,
        ];
      return [`${name}.lora.up.weight`, `${name}.lora.down.weight`];
    },
  };
  for (const [what, spell] of Object.entries(spellings)) {
    it(`in the names ${what}`, async () => {
      const { lora, merged } = everyLayer(spell);
      const model = await openTiny();
      const expectation = await openTiny(tinyModel({ edit: () => merged }).path);
      try {
        const path = write(flat(what), lora);
        const [report] = await model.setLoras([{ path, weight: 1 }], never);
        assert.deepEqual([report?.applied, report?.tensors], [lora.length, lora.length]);
        const expected = await answers(expectation);
        (await answers(model)).forEach((received, i) => {
          assertClose(received, expected[i] as Float32Array, 1e-5);
        });
      } finally {
        await Promise.all([model.dispose(), expectation.dispose()]);
      }
    });
  }
});

describe('LoRAs on weights of other types', () => {
  for (const [what, typeOf] of [
    ['float16', ({ shape }: TestTensor) => (shape.length > 1 ? 'f16' : 'f32')],
    ['8-bit blocks and float16', q8Mix],
  ] as const) {
    it(`${what}: 45 dB to float32`, async () => {
      const { lora, merged } = everyLayer((component, name) =>
        component === 'unet'
          ? [`unet.${name}.lora_B.weight`, `unet.${name}.lora_A.weight`]
          : [`text_encoder.${name}.lora_B.weight`, `text_encoder.${name}.lora_A.weight`],
      );
      const path = join(folder, `${what}.gguf`);
      writeGguf(path, base, typeOf);
      const model = await openTiny(path);
      const expectation = await openTiny(tinyModel({ edit: () => merged }).path);
      try {
        await model.setLoras([{ path: write('types', lora), weight: 1 }], never);
        const expected = await answers(expectation);
        (await answers(model)).forEach((received, i) => {
          const reference = expected[i] as Float32Array;
          const decibels = psnr(received, reference, 2 * reference.reduce((peak, x) => Math.max(peak, Math.abs(x)), 0));
          assert.ok(decibels >= 45, `answer ${i} has ${decibels.toFixed(1)} dB`);
        });
      } finally {
        await Promise.all([model.dispose(), expectation.dispose()]);
      }
    });
  }
});

const layer = 'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k';
const pair = (name: string, out: number, inputs: number, scale = 0.3): TestTensor[] => [
  tensor(`${name}.lora_up.weight`, [out, 1], new Float32Array(out).fill(scale)),
  tensor(`${name}.lora_down.weight`, [1, inputs], new Float32Array(inputs).fill(scale)),
];
const good = () => write('good', pair(layer, 32, 64));

describe('a file that does not fit is refused, and what was in force stays', () => {
  let model: TestModel;
  before(async () => {
    model = await openTiny();
  });
  after(() => model.dispose());

  const dora = () => [...pair(layer, 32, 64), tensor(`${layer}.dora_scale`, [32, 1], new Float32Array(32).fill(1))];
  const rows: readonly [what: string, write: () => string, code: string, message: RegExp][] = [
    ['a file that is not there', () => join(folder, 'none.safetensors'), 'ERR_FILE', /none\.safetensors/],
    [
      'a model instead of a LoRA',
      () => tinyPath,
      'ERR_MODEL_UNSUPPORTED',
      /expected a LoRA, but it holds .* tensors such as 'model\./,
    ],
    ['a file without tensors', () => write('empty', []), 'ERR_MODEL_UNSUPPORTED', /holds no tensors/],
    [
      'a LoRA for layers that the model lacks',
      () => write('other', pair('lora_unet_single_blocks_0_linear1', 32, 64)),
      'ERR_MODEL_MISMATCH',
      /found adapters of 1 layers that it does not have, such as 'lora_unet_single_blocks_0_linear1'/,
    ],
    [
      'a LoRA of another width',
      () => write('wide', [...pair('lora_unet_mid_block_attentions_0_proj_in', 64, 64), ...pair(layer, 32, 2048)]),
      'ERR_MODEL_MISMATCH',
      /expected an adapter of shape \[32, 64\] .*attn2_to_k', found \[32, 2048\]/,
    ],
    [
      'half an adapter',
      () => write('half', pair(layer, 32, 64).slice(1)),
      'ERR_MODEL_INCOMPLETE',
      /attn2_to_k' is missing/,
    ],
    [
      'ranks that differ',
      () =>
        write('ranks', [
          tensor(`${layer}.lora_up.weight`, [32, 2], new Float32Array(64)),
          ...pair(layer, 32, 64).slice(1),
        ]),
      'ERR_MODEL_CORRUPT',
      /the ranks/,
    ],
    ['a DoRA', () => write('dora', dora()), 'ERR_MODEL_UNSUPPORTED', /is a DoRA/],
    [
      'scales for layers that no pattern can be made of',
      () =>
        write('pattern', pair('unet.mid_block.attentions.0.proj_in', 64, 64), {
          lora_adapter_metadata: '{"unet.alpha_pattern": {"to_q(": 4}}',
        }),
      'ERR_MODEL_UNSUPPORTED',
      /the pattern 'to_q\(' in 'alpha_pattern'/,
    ],
    [
      'a file that is no tensor file',
      () => {
        writeFileSync(join(folder, 'text.safetensors'), 'not tensors at all');
        return join(folder, 'text.safetensors');
      },
      'ERR_MODEL_',
      /text\.safetensors/,
    ],
  ];
  for (const [what, path, code, message] of rows) {
    it(what, async () => {
      await model.setLoras([{ path: good(), weight: 1 }], never);
      const expected = await answers(model);
      await assert.rejects(
        model.setLoras(
          [
            { path: good(), weight: 0.5 },
            { path: path(), weight: 1 },
          ],
          never,
        ),
        (error: Error & { code: string }) => error.code.startsWith(code) && message.test(error.message),
      );
      assert.ok(equal(await answers(model), expected));
    });
  }

  // Elsewhere such a file would take place on the disk, or memory that is not there is promised.
  it('a rank beyond all memory', { skip: process.platform !== 'linux' }, async () => {
    const rank = 2 ** 32;
    const ends = [0, 32, 32 + 64].map((numbers) => 4 * numbers * rank) as [number, number, number];
    const header = JSON.stringify({
      [`${layer}.lora_up.weight`]: { dtype: 'F32', shape: [32, rank], data_offsets: [ends[0], ends[1]] },
      [`${layer}.lora_down.weight`]: { dtype: 'F32', shape: [rank, 64], data_offsets: [ends[1], ends[2]] },
    });
    const path = join(folder, 'rank.safetensors');
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(path, Buffer.concat([length, Buffer.from(header)]));
    truncateSync(path, length.length + header.length + ends[2]);
    const refused = { code: 'ERR_OUT_OF_MEMORY', message: /for the LoRA '.*rank\.safetensors'/ };
    await assert.rejects(model.setLoras([{ path, weight: 1 }], never), refused);
  });

  it('a cancelled change', async () => {
    await model.setLoras([{ path: good(), weight: 1 }], never);
    const expected = await answers(model);
    const flag = new addon.Cancellation();
    flag.cancel();
    await assert.rejects(model.setLoras([], flag), { code: 'ERR_CANCELLED' });
    assert.ok(equal(await answers(model), expected));
  });
});

describe('txt2img with LoRAs', () => {
  let model: Model;
  const common = { prompt: 'a red apple', width: 32, height: 32, steps: 2, seed: 3, scheduler: 'discrete' as const };
  const pixels = async (options: object) =>
    (await model.txt2img({ ...common, ...options })).images[0]?.data as Uint8Array;
  before(async () => {
    model = await loadModel(tinyModel({ vocabulary: 49408 }).path, { device: 'cpu', threads: 1 });
  });
  after(() => model.dispose());

  it('takes them from options and from the prompt, and says what was applied', async () => {
    const path = good();
    const byOption = await model.txt2img({ ...common, loras: [{ path, weight: 0.8 }] });
    const report = { path, weight: 0.8, applied: 2, tensors: 2 };
    assert.deepEqual(byOption.loras, [report]);
    const parameters = byOption.images[0]?.parameters;
    assert.deepEqual(parameters?.loras, [report]);
    const plain = await pixels({});
    assert.notDeepEqual(byOption.images[0]?.data, plain);
    for (const [tag, options] of [
      [`<lora:${path}:0.8>`, { loraTags: 'paths' }],
      [`<lora:${basename(path, '.safetensors')}:0.8>`, { loraDirectory: folder }],
      [`<lora:${basename(path)}:.8>`, { loraDirectory: folder }],
    ] as const) {
      assert.deepEqual(await pixels({ ...options, prompt: `${tag}a red apple` }), byOption.images[0]?.data, tag);
    }
    assert.deepEqual(await pixels({}), plain, 'the next image has none');
  });

  it('adds several up', async () => {
    const path = good();
    const one = await pixels({ loras: [{ path }] });
    assert.deepEqual(
      await pixels({
        loras: [
          { path, weight: 0.5 },
          { path, weight: 0.5 },
        ],
      }),
      one,
    );
  });

  it('reads a file anew that has changed', async () => {
    const path = write('changing', pair(layer, 32, 64, 0.1));
    const first = await pixels({ loras: [{ path }] });
    write('changing', [...pair(layer, 32, 64, 0.5), tensor('more.alpha', [], [1])]);
    assert.notDeepEqual(await pixels({ loras: [{ path }] }), first);
  });

  const bad: readonly [what: string, options: object, code: string, message: RegExp][] = [
    ['a weight that is no number', { prompt: '<lora:x:high>' }, 'ERR_INVALID_ARG_VALUE', /<lora:name:weight>/],
    ['a tag without a name', { prompt: 'a <lora:> b' }, 'ERR_INVALID_ARG_VALUE', /<lora:name:weight>/],
    [
      'a tag in the negative prompt',
      { negativePrompt: '<lora:x:1>' },
      'ERR_INVALID_ARG_VALUE',
      /holds for both prompts/,
    ],
    ['loras that are no array', { loras: 'x' }, 'ERR_INVALID_ARG_TYPE', /an array of/],
    ['a lora without a path', { loras: [{}] }, 'ERR_INVALID_ARG_TYPE', /loras\[0\]\.path/],
    ['a lora with an unknown key', { loras: [{ path: 'x', scale: 1 }] }, 'ERR_UNKNOWN_OPTION', /scale/],
    [
      'a weight of NaN',
      { loras: [{ path: 'x', weight: Number.NaN }] },
      'ERR_INVALID_ARG_VALUE',
      /finite number for loras\[0\]\.weight/,
    ],
    ['too many', { loras: Array.from({ length: 65 }, () => ({ path: 'x' })) }, 'ERR_INVALID_ARG_VALUE', /at most 64/],
    [
      'a path that is nowhere',
      { prompt: '<lora:nowhere:1>', loraDirectory: folder, loraTags: 'paths' },
      'ERR_FILE',
      /nowhere' or '/,
    ],
    ['a name that is nowhere', { prompt: '<lora:nowhere:1>', loraDirectory: folder }, 'ERR_FILE', /has 'nowhere'$/],
  ];
  for (const [what, options, code, message] of bad) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(model.txt2img({ ...common, ...options }), (error: Error & { code: string }) => {
        assert.equal(error.code, code);
        assert.match(error.message, message);
        return true;
      });
    });
  }
});
