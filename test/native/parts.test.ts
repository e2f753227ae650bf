// Models of Stable Diffusion 2 and SDXL from parts: a file for each component, a diffusers folder, PyTorch shards, the VAE of
// another model. The names of diffusers come from test/reference/family_names.py.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { NativeSource } from '../../lib/native/contract.ts';
import { never } from '../support/addon.ts';
import { golden } from '../support/golden.ts';
import { openModel, type TestModel } from '../support/networks.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { sd2Architecture, type TinyModelArchitecture, xlArchitecture } from '../support/tiny-architectures.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import { writeCheckpoint } from '../support/torch-file.ts';

type Component = 'unet' | 'vae' | 'text_encoder' | 'text_encoder_2';
/** For each component, the names of layers in diffusers by the original ones. */
const names = golden<Record<Component, Record<string, string>>>('family_names.json');

function write(architecture: TinyModelArchitecture, seed = 1): { path: string; tensors: TestTensor[] } {
  let tensors: TestTensor[] = [];
  const edit = (all: TestTensor[]) => {
    tensors = all;
    return all;
  };
  return { path: tinyModel({ architecture, seed, edit }).path, tensors };
}

/** What the networks say to inputs of their sizes: text encoders, UNet, VAE. */
async function answers(source: NativeSource): Promise<Record<'text' | 'unet' | 'vae', Float32Array[]>> {
  const model: TestModel = await openModel(source, {
    device: 'cpu',
    threads: 1,
    precision: 'f32',
    cancellation: never,
  });
  try {
    const { textEncoders, vectorSize } = model.info;
    const text: Float32Array[] = [];
    let contextSize = 0;
    for (const [i, { width }] of textEncoders.entries()) {
      const { hidden, pooled } = await model.encodeText(i, new Int32Array(77).fill(7), 1, never);
      text.push(hidden, pooled);
      contextSize += width;
    }
    const wave = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i));
    const condition = {
      ...{ context: wave(77 * contextSize), contextTokens: 77 },
      ...(vectorSize > 0 && { vector: wave(vectorSize) }),
    };
    const latent = wave(4 * 8 * 8);
    const unet = [await model.predict(latent, [1, 4, 8, 8], Float32Array.of(500), condition, never)];
    return { text, unet, vae: [await model.decode(latent, [1, 4, 8, 8], never)] };
  } finally {
    await model.dispose();
  }
}

/** The tensors under a prefix, without it. */
const under = (tensors: readonly TestTensor[], prefix: string): TestTensor[] =>
  tensors
    .filter(({ name }) => name.startsWith(prefix))
    .map((part) => ({ ...part, name: part.name.slice(prefix.length) }));

const PREFIXES = {
  sd2: { unet: 'model.diffusion_model.', textEncoder: 'cond_stage_model.model.', vae: 'first_stage_model.' },
  xl: {
    unet: 'model.diffusion_model.',
    textEncoder: 'conditioner.embedders.0.transformer.',
    textEncoder2: 'conditioner.embedders.1.model.',
    vae: 'first_stage_model.',
  },
};

for (const [family, architecture] of [
  ['sd2', sd2Architecture],
  ['xl', xlArchitecture],
] as const) {
  describe(`a model of the family ${family}`, () => {
    const whole = write(architecture);
    const other = write(architecture, 2);
    const folder = join(temporaryFolder(), `parts-${family}`);
    mkdirSync(folder);

    it('may come in a file for each component', async () => {
      const parts = Object.entries(PREFIXES[family]).map(([component, prefix]) => {
        const path = join(folder, `${component}.safetensors`);
        writeSafetensors(path, under(whole.tensors, prefix));
        return [component, path];
      });
      assert.deepEqual(await answers(Object.fromEntries(parts)), await answers({ model: whole.path }));
    });

    it('takes the VAE of another, from a whole model or a file of its own', async () => {
      const [own, others] = [await answers({ model: whole.path }), await answers({ model: other.path })];
      assert.notDeepEqual(own.vae, others.vae);
      const bare = join(folder, 'other-vae.safetensors');
      writeSafetensors(bare, under(other.tensors, 'first_stage_model.'));
      for (const vae of [other.path, bare]) {
        assert.deepEqual(await answers({ model: whole.path, vae }), { ...own, vae: others.vae });
      }
    });
  });
}

/** The tensors of a component in the names and shapes of diffusers and transformers. */
function renamed(tensors: readonly TestTensor[], component: Component): TestTensor[] {
  return tensors.flatMap((tensor) => {
    const [ending = ''] = /\.(weight|bias)$/.exec(tensor.name) ?? [];
    const whole = names[component][tensor.name];
    const layer = names[component][tensor.name.slice(0, tensor.name.length - ending.length)];
    const name = whole ?? (layer && layer + ending);
    // The attention of diffusers' autoencoder multiplies by matrices where the original convolves.
    const shape = component === 'vae' && name?.includes('.attentions.') ? tensor.shape.slice(0, 2) : tensor.shape;
    return name === undefined ? [] : [{ ...tensor, name, shape }];
  });
}

/** What OpenCLIP holds otherwise than transformers: queries, keys and values in one tensor, and a transposed projection. */
function fusedOfOpenClip(tensors: readonly TestTensor[]): TestTensor[] {
  return under(tensors, 'conditioner.embedders.1.model.').flatMap((tensor) => {
    const [, layer, ending] = /^transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)$/.exec(tensor.name) ?? [];
    if (layer !== undefined) {
      const [rows = 0, ...others] = tensor.shape;
      const third = tensor.values.length / 3;
      return ['q', 'k', 'v'].map((part, i) => ({
        ...tensor,
        name: `text_model.encoder.layers.${layer}.self_attn.${part}_proj.${ending}`,
        shape: [rows / 3, ...others],
        values: tensor.values.slice(i * third, (i + 1) * third),
      }));
    }
    if (tensor.name !== 'text_projection') return [];
    const [rows = 0, columns = 0] = tensor.shape;
    const values = tensor.values.map((_, i) => tensor.values[(i % rows) * columns + Math.floor(i / rows)] as number);
    return [{ ...tensor, name: 'text_projection.weight', shape: [columns, rows], values }];
  });
}

describe('a diffusers folder of SDXL', () => {
  const { path, tensors } = write(xlArchitecture);
  const components: readonly [Component, stem: string, pickledStem: string][] = [
    ['unet', 'diffusion_pytorch_model', 'diffusion_pytorch_model'],
    ['vae', 'diffusion_pytorch_model', 'diffusion_pytorch_model'],
    ['text_encoder', 'model', 'pytorch_model'],
    ['text_encoder_2', 'model', 'pytorch_model'],
  ];
  const all = (component: Component) => [
    ...renamed(tensors, component),
    ...(component === 'text_encoder_2' ? fusedOfOpenClip(tensors) : []),
  ];
  const layouts: readonly [
    what: string,
    write: (folder: string, tensors: TestTensor[], stem: string, pickled: string) => void,
  ][] = [
    ['in safetensors', (folder, own, stem) => writeSafetensors(join(folder, `${stem}.safetensors`), own)],
    ['in PyTorch files', (folder, own, _, stem) => writeCheckpoint(join(folder, `${stem}.bin`), own, [], '')],
    [
      'in PyTorch shards',
      (folder, own, _, stem) => {
        const index: Record<string, string> = {};
        for (const half of [0, 1]) {
          const file = `${stem}-0000${half + 1}-of-00002.bin`;
          const part = own.filter((_, i) => i % 2 === half);
          for (const { name } of part) index[name] = file;
          writeCheckpoint(join(folder, file), part, [], '');
        }
        writeFileSync(join(folder, `${stem}.bin.index.json`), JSON.stringify({ weight_map: index }));
      },
    ],
  ];
  for (const [what, write] of layouts) {
    it(`${what} is the model that the single file is`, async () => {
      const folder = join(temporaryFolder(), `xl ${what}`);
      for (const [component, stem, pickledStem] of components) {
        const own = join(folder, component);
        mkdirSync(own, { recursive: true });
        write(own, all(component), stem, pickledStem);
      }
      writeFileSync(join(folder, 'text_encoder_2', 'config.json'), '{"hidden_act": "gelu"}');
      const [received, expected] = [await answers({ model: folder }), await answers({ model: path })];
      assert.deepEqual(received.unet, expected.unet);
      assert.deepEqual(received.vae, expected.vae);
      assert.deepEqual(received.text.slice(0, 3), expected.text.slice(0, 3));
      // Products with the transposed projection add up in another order.
      const pooled = expected.text[3] as Float32Array;
      for (const [i, value] of (received.text[3] as Float32Array).entries()) {
        assert.ok(Math.abs(value - (pooled[i] as number)) < 1e-5);
      }
    });
  }
});
