// The networks of Z-Image against transformers and diffusers, in float32; the goldens come from test/reference/z_image.py. Then the
// spellings and types that its files have, and files that do not fit.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import { inspectModel } from '../../lib/index.ts';
import type { NativeModel, NativeSource } from '../../lib/native/contract.ts';
import { loadAddon } from '../../lib/native/load.ts';
import { never } from '../support/addon.ts';
import { assertClose } from '../support/compare.ts';
import { q8Mix, writeGguf } from '../support/gguf.ts';
import { golden, goldenTensors } from '../support/golden.ts';
import { writeSafetensors } from '../support/safetensors.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import {
  ggufNames,
  tinyZImage,
  writePart,
  type ZImageTensors,
  zImageFolder,
  zImageTensors,
} from '../support/tiny-z-image.ts';

const goldens = goldenTensors('z_image.safetensors');
const { tokens: prompts } = golden<{ tokens: { prompt: string; tokens: number[] }[] }>('z_image.json');

function values(name: string): { data: Float32Array; shape: number[] } {
  const found = goldens.get(name);
  assert.ok(found, `a golden ${name}`);
  return { data: found.values as Float32Array, shape: found.shape };
}

const files = tinyZImage();
const WHOLE: NativeSource = { model: files.denoiser, llm: files.language, vae: files.vae };

function open(source: NativeSource, precision: 'f32' | 'bf16' = 'f32'): Promise<NativeModel> {
  return loadAddon().open(source, { device: 'cpu', threads: 1, precision, cancellation: never });
}

async function hidden(model: NativeModel, tokens: readonly number[][]): Promise<Float32Array> {
  const data = Int32Array.from(tokens.flat());
  const shape = [tokens.length, tokens[0]?.length as number];
  const outputs = await model.evaluate('language_model', { tokens: { data, shape } }, {}, never);
  return outputs.hidden as Float32Array;
}

async function predict(model: NativeModel, name: string): Promise<Float32Array> {
  const latent = values(`${name}.latent`);
  const timesteps = {
    data: Float32Array.of(601.5, 1000).subarray(0, latent.shape[0]),
    shape: latent.shape.slice(0, 1),
  };
  const inputs = { latent, timesteps, context: values(`${name}.context`) };
  const outputs = await model.evaluate('transformer', inputs, {}, never);
  return outputs.prediction as Float32Array;
}

const tokensOf = (index: number) => prompts[index]?.tokens as number[];

describe('the networks of a small Z-Image agree with transformers and diffusers', () => {
  it('it is recognised, and its sizes are read from its tensors', async () => {
    const { info, dispose } = await open(WHOLE).then((model) => ({ info: model.info, dispose: () => model.dispose() }));
    await dispose();
    assert.equal(info.family, 'z-image');
    assert.equal(info.prediction, 'flow');
    assert.deepEqual([info.latentChannels, info.inChannels, info.vaeScaleFactor, info.sideMultiple], [16, 16, 8, 16]);
    assert.deepEqual(
      info.textEncoders.map(({ component, kind, width }) => [component, kind, width]),
      [['language_model', 'qwen3', 32]],
    );
  });

  it('language model: short and long prompts, none, and two in a batch', async () => {
    const model = await open(WHOLE);
    const [short, empty, long] = [tokensOf(0), tokensOf(1), tokensOf(5)];
    for (const [name, batch] of Object.entries({
      short: [short],
      empty: [empty],
      long: [long],
      pair: [short, short.toReversed()],
    })) {
      assertClose(await hidden(model, batch), values(`hidden.${name}`).data);
    }
    await model.dispose();
  });

  for (const name of ['odd', 'even', 'tall']) {
    it(`transformer, ${name}`, async () => {
      const model = await open(WHOLE);
      assertClose(await predict(model, name), values(`${name}.prediction`).data);
      await model.dispose();
    });
  }
});

/** Every matrix in 8 bits or halves, as converters write them; embeddings too. */
function ggufFiles(tensors: ZImageTensors, type: 'f16' | 'bf16' | 'q8'): NativeSource {
  const write = (part: keyof ZImageTensors) => {
    const path = join(temporaryFolder(), `z-image-${type}-${part}.gguf`);
    writeGguf(path, tensors[part], (tensor) => {
      if (tensor.shape.length === 1 || tensor.name.includes('pad_token')) return 'f32';
      if (tensor.name.startsWith('token_embd.')) return 'f16';
      return type === 'q8' ? q8Mix(tensor) : type;
    });
    return path;
  };
  return { unet: write('denoiser'), llm: write('language'), vae: write('vae') };
}

describe('the same values give the same output', () => {
  const prefixed = (tensors: ZImageTensors): ZImageTensors => ({
    denoiser: tensors.denoiser.map((tensor) => ({ ...tensor, name: `model.diffusion_model.${tensor.name}` })),
    language: tensors.language.map((tensor) => ({ ...tensor, name: tensor.name.replace(/^model\./, '') })),
    vae: tensors.vae.map((tensor) => ({ ...tensor, name: `first_stage_model.${tensor.name}` })),
  });
  const joint = (): string => {
    const { denoiser, language, vae } = prefixed(zImageTensors());
    const named = language.map((tensor) => ({
      ...tensor,
      name: `text_encoders.qwen3_4b.transformer.model.${tensor.name}`,
    }));
    const path = join(temporaryFolder(), 'z-image-joint.safetensors');
    writeSafetensors(path, [...denoiser, ...named, ...vae]);
    return path;
  };
  const prefixedFiles = (): NativeSource => {
    const { denoiser, language, vae } = prefixed(zImageTensors());
    return { unet: writePart(denoiser), llm: writePart(language), vae: writePart(vae) };
  };
  const folder = zImageFolder();
  const spellings: readonly [string, () => NativeSource][] = [
    ['a folder of diffusers', () => ({ model: folder })],
    ['folders of its parts', () => ({ unet: folder, llm: folder, vae: join(folder, 'vae') })],
    ['names with prefixes', prefixedFiles],
    ['one file', () => ({ model: joint() })],
  ];
  for (const [name, source] of spellings) {
    it(name, async () => {
      const model = await open(source());
      assertClose(await hidden(model, [tokensOf(0)]), values('hidden.short').data);
      assertClose(await predict(model, 'odd'), values('odd.prediction').data);
      await model.dispose();
    });
  }

  for (const [type, tolerance] of [
    ['f16', 5e-3],
    ['bf16', 4e-2],
    ['q8', 5e-2],
  ] as const) {
    it(`GGUF in ${type}, with the names of llama.cpp`, async () => {
      const model = await open(ggufFiles(ggufNames(zImageTensors()), type));
      assertClose(await hidden(model, [tokensOf(0)]), values('hidden.short').data, tolerance);
      assertClose(await predict(model, 'odd'), values('odd.prediction').data, tolerance);
      await model.dispose();
    });
  }

  it('in bf16, about', async () => {
    const model = await open(WHOLE, 'bf16').catch((error: Error) => error);
    if (model instanceof Error) return assert.match(model.message, /bf16/);
    assertClose(await predict(model, 'tall'), values('tall.prediction').data, 5e-2);
    await model.dispose();
  });
});

test('a layer that is not used need not be there, and what follows it is no obstacle', async () => {
  const tensors = zImageTensors();
  const language = [
    ...tensors.language.filter(({ name }) => !name.startsWith('model.layers.2.mlp.')),
    { name: 'lm_head.weight', dtype: 'f32' as const, shape: [2, 32], values: new Float32Array(64) },
  ];
  const model = await open({ ...WHOLE, llm: writePart(language) });
  assertClose(await hidden(model, [tokensOf(0)]), values('hidden.short').data);
  await model.dispose();
});

describe('files that do not make a Z-Image are refused by what is expected', () => {
  const refused = (source: NativeSource, code: string, message: RegExp) =>
    assert.rejects(open(source), (error: Error & { code: string }) => {
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      return true;
    });
  const edited = (
    part: keyof ZImageTensors,
    edit: (tensors: ZImageTensors[typeof part]) => ZImageTensors[typeof part],
  ) => writePart(edit(zImageTensors()[part]));

  it('parts that are missing', async () => {
    await refused(
      { model: files.denoiser },
      'ERR_MODEL_INCOMPLETE',
      /language model \(option `llm`\), the VAE \(option `vae`\)/,
    );
    await refused(
      { model: files.denoiser, vae: files.vae },
      'ERR_MODEL_INCOMPLETE',
      /language model \(option `llm`\) is missing/,
    );
    await refused({ llm: files.language, vae: files.vae }, 'ERR_MODEL_INCOMPLETE', /UNet \(option `unet`\)/);
  });

  it('another language model, or none', async () => {
    const qwen25 = edited('language', (tensors) => tensors.filter(({ name }) => !/[qk]_norm/.test(name)));
    await refused(
      { ...WHOLE, llm: qwen25 },
      'ERR_MODEL_UNSUPPORTED',
      /Expected the language model Qwen3, found one with no norms/,
    );
    const seeing = edited('language', (tensors) => [
      ...tensors.map((tensor) => ({ ...tensor, name: tensor.name.replace(/^model\./, 'model.language_model.') })),
      { name: 'model.visual.patch_embed.proj.weight', dtype: 'f32', shape: [2, 2], values: new Float32Array(4) },
    ]);
    await refused({ ...WHOLE, llm: seeing }, 'ERR_MODEL_UNSUPPORTED', /a part that sees images, as Qwen3-VL has/);
    const gguf = join(temporaryFolder(), 'z-image-vl.gguf');
    const { language } = ggufNames(zImageTensors());
    writeGguf(gguf, language, ({ dtype }) => dtype, undefined, 'qwen3vl');
    await refused({ ...WHOLE, llm: gguf }, 'ERR_MODEL_UNSUPPORTED', /found one with the architecture 'qwen3vl'/);
    await refused({ ...WHOLE, llm: files.vae }, 'ERR_MODEL_UNSUPPORTED', /holds no tensor of a language model/);
    const wide = edited('denoiser', (tensors) =>
      tensors.map((tensor) => {
        if (tensor.name === 'cap_embedder.0.weight') return { ...tensor, shape: [48], values: new Float32Array(48) };
        if (tensor.name === 'cap_embedder.1.weight')
          return { ...tensor, shape: [96, 48], values: new Float32Array(96 * 48) };
        return tensor;
      }),
    );
    await refused(
      { ...WHOLE, model: wide },
      'ERR_MODEL_MISMATCH',
      /expected a language model of width 48 but found one of width 32/,
    );
  });

  it('the VAE of another family', async () => {
    const { path } = tinyModel();
    await refused(
      { ...WHOLE, vae: path },
      'ERR_MODEL_MISMATCH',
      /expected a VAE with 16 latent channels, which is that of FLUX\.1, but found one with 4/,
    );
  });

  it('a denoiser without a tensor', async () => {
    const path = edited('denoiser', (tensors) => tensors.filter(({ name }) => name !== 'cap_pad_token'));
    await refused({ ...WHOLE, model: path }, 'ERR_MODEL_INCOMPLETE', /cap_pad_token/);
  });

  it('files that are cut', async () => {
    for (const part of ['denoiser', 'vae'] as const) {
      const bytes = await readFile(files[part]);
      for (const share of [0, 0.001, 0.3, 0.999]) {
        const path = join(temporaryFolder(), `z-image-cut-${part}-${share}.safetensors`);
        writeFileSync(path, bytes.subarray(0, Math.floor(share * bytes.length)));
        const source = part === 'vae' ? { ...WHOLE, vae: path } : { ...WHOLE, model: path };
        await assert.rejects(open(source), ({ code }: { code: string }) => /^ERR_(MODEL_|FILE)/.test(code));
      }
    }
  });

  it('settings of diffusion models', async () => {
    for (const given of [{ prediction: 'v' as const }, { zeroTerminalSnr: true }]) {
      const options = { device: 'cpu', threads: 1, cancellation: never, ...given };
      await assert.rejects(loadAddon().open(WHOLE, options), {
        code: 'ERR_INVALID_ARG_VALUE',
        message: /flow matching/,
      });
    }
  });
});

test('what is inspected', async () => {
  const found = await inspectModel({ model: files.denoiser, llm: files.language });
  assert.equal(found.family, 'z-image');
  assert.equal(found.prediction, 'flow');
  assert.deepEqual(
    found.components.map(({ kind }) => kind),
    ['language_model', 'transformer'],
  );
  assert.deepEqual(found.absent, ['vae']);
  assert.deepEqual([found.missing, found.mismatched, found.unused], [[], [], []]);
  const alone = await inspectModel(files.language);
  assert.equal(alone.family, undefined);
  assert.deepEqual(
    alone.components.map(({ kind }) => kind),
    ['language_model'],
  );
});
