// Tiny autoencoders in place of the VAE and beside it, against diffusers' AutoencoderTiny in float32; the goldens come from
// test/reference/taesd.py.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readImage } from '../../lib/image/input.ts';
import { loadModel } from '../../lib/index.ts';
import type { NativeSource } from '../../lib/native/contract.ts';
import { diffuse } from '../cli/command.ts';
import { never, tiny } from '../support/addon.ts';
import { soundModel } from '../support/bad-models.ts';
import { assertClose, psnr } from '../support/compare.ts';
import { goldenTensors } from '../support/golden.ts';
import { openModel, type TestModel } from '../support/networks.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { placeNames, tinyAutoencoder, writeTinyAutoencoder } from '../support/tiny-autoencoder.ts';
import { temporaryFolder } from '../support/tiny-model.ts';

type Shape = [number, number, number, number];
const goldens = goldenTensors('taesd.safetensors');
const values = (name: string) => goldens.get(name)?.values as Float32Array;
const shapeOf = (name: string) => goldens.get(name)?.shape as Shape;

const open = (source: NativeSource): Promise<TestModel> =>
  openModel({ model: tiny.path, ...source }, { device: 'cpu', threads: 2, precision: 'f32', cancellation: never });

const whole = writeTinyAutoencoder(tinyAutoencoder());
const small = tinyAutoencoder({ encoderBlocks: [1, 2], decoderBlocks: [2, 1] });

function folder(): string {
  const path = join(temporaryFolder(), 'taesd-folder');
  mkdirSync(path, { recursive: true });
  writeSafetensors(join(path, 'diffusion_pytorch_model.safetensors'), tinyAutoencoder());
  return path;
}

/** The latents that come first in the moments of each image, and the rest. */
function latentsOf(moments: Float32Array, [batch, channels, height, width]: Shape): [Float32Array, Float32Array] {
  const length = channels * height * width;
  const parts = [0, 1].map((half) =>
    Float32Array.from({ length: batch * length }, (_, i) => {
      return moments[2 * Math.floor(i / length) * length + half * length + (i % length)] as number;
    }),
  );
  return parts as [Float32Array, Float32Array];
}

describe('a tiny autoencoder gives what that of diffusers gives', () => {
  for (const [what, golden, vae] of [
    ['in one file', 'taesd', () => whole],
    ['in a folder of diffusers', 'taesd', folder],
    ['with other numbers of layers', 'small', () => writeTinyAutoencoder(small)],
  ] as const) {
    it(`in place of the VAE, ${what}`, async () => {
      const model = await open({ vae: vae() });
      const { tinyAutoencoder: there, vaeScaleFactor, components } = model.info;
      assert.deepEqual([there, vaeScaleFactor], [true, golden === 'small' ? 2 : 8]);
      assert.equal(components.find(({ kind }) => kind === 'vae')?.config.tiny, true);
      const decoded = await model.decode(values('latent'), shapeOf('latent'), never);
      assertClose(decoded, values(`${golden} decoded`), 1e-5);
      const moments = await model.encode(values('image'), shapeOf('image'), never);
      const [latents, variances] = latentsOf(moments, shapeOf(`${golden} encoded`));
      assertClose(latents, values(`${golden} encoded`), 1e-5);
      assert.ok(variances.every((value) => value === -30));
      await model.dispose();
    });
  }

  it('its decoder alone, under the names of its own file, which cannot encode', async () => {
    const model = await open({ vae: writeTinyAutoencoder(placeNames(tinyAutoencoder(), 'decoder')) });
    assertClose(await model.decode(values('latent'), shapeOf('latent'), never), values('taesd decoded'), 1e-5);
    const encoding = model.encode(values('image'), shapeOf('image'), never);
    await assert.rejects(encoding, { code: 'ERR_MODEL_INCOMPLETE', message: /no encoder/ });
    await model.dispose();
  });

  it('beside the VAE, for previews', async () => {
    const plain = await open({});
    const model = await open({ taesd: writeTinyAutoencoder(placeNames(tinyAutoencoder(), 'decoder')) });
    assert.deepEqual([plain.info.tinyAutoencoder, model.info.tinyAutoencoder], [false, true]);
    assertClose(await model.preview(values('latent'), shapeOf('latent'), never), values('taesd decoded'), 1e-5);
    const decoded = await plain.decode(values('latent'), shapeOf('latent'), never);
    assert.deepEqual(await model.decode(values('latent'), shapeOf('latent'), never), decoded);
    const preview = plain.preview(values('latent'), shapeOf('latent'), never);
    await assert.rejects(preview, { code: 'ERR_MODEL_INCOMPLETE', message: /without a tiny autoencoder/ });
    await plain.dispose();
    await model.dispose();
  });
});

describe('a file is refused that is no sound tiny autoencoder:', () => {
  const edited = (edit: (tensors: TestTensor[]) => TestTensor[]) => writeTinyAutoencoder(edit(tinyAutoencoder()));
  const reshaped = (wanted: string, shape: number[]) => () =>
    edited((all) => all.map((tensor) => (tensor.name === wanted ? { ...tensor, shape } : tensor)));
  const rows: readonly (readonly [what: string, path: () => string, code: string, message: RegExp])[] = [
    ['a missing file', () => '/nowhere/taesd.safetensors', 'ERR_FILE', /nowhere/],
    [
      'an encoder alone',
      () => writeTinyAutoencoder(placeNames(tinyAutoencoder(), 'encoder')),
      'ERR_MODEL_UNSUPPORTED',
      /no decoder/,
    ],
    [
      'a missing tensor',
      () => edited((all) => all.filter(({ name }) => name !== 'decoder.layers.3.conv.2.bias')),
      'ERR_MODEL_INCOMPLETE',
      /3\.conv\.2\.bias/,
    ],
    [
      'a tensor of another shape',
      reshaped('decoder.layers.3.conv.2.bias', [2, 4]),
      'ERR_MODEL_MISMATCH',
      /3\.conv\.2\.bias/,
    ],
    [
      'a latent of three channels',
      () => writeTinyAutoencoder(tinyAutoencoder({ latentChannels: 3 })),
      'ERR_MODEL_MISMATCH',
      / 3 channels|has 3/,
    ],
    [
      'halves that differ',
      () => writeTinyAutoencoder(tinyAutoencoder({ encoderBlocks: [1, 1] })),
      'ERR_MODEL_UNSUPPORTED',
      /differ in their scale factors/,
    ],
    [
      'a tensor that nothing reads',
      () =>
        edited((all) => [
          ...all,
          { name: 'decoder.layers.3.pool.0.weight', dtype: 'f32', shape: [1], values: new Float32Array(1) },
        ]),
      'ERR_MODEL_UNSUPPORTED',
      /pool/,
    ],
  ];
  for (const [what, path, code, message] of rows) {
    it(`${what}, in place of the VAE`, () => assert.rejects(open({ vae: path() }), { code, message }));
    it(`${what}, beside the VAE`, () => assert.rejects(open({ taesd: path() }), { code, message }));
  }
  it('a VAE of another kind', () =>
    assert.rejects(open({ taesd: tiny.path }), { code: 'ERR_MODEL_UNSUPPORTED', message: /tiny autoencoder/ }));
  it('cells of another size than those of the VAE', () =>
    assert.rejects(open({ taesd: writeTinyAutoencoder(small) }), {
      code: 'ERR_MODEL_MISMATCH',
      message: /a scale factor of 2/,
    }));
});

describe('images', () => {
  const options = { prompt: 'x', width: 32, height: 16, steps: 2, seed: 1, rng: 'cpu', batchSize: 2 } as const;

  it('have previews of their own size, which end in the image where the tiny autoencoder decodes it', async () => {
    await using model = await loadModel({ model: soundModel(), vae: whole }, { threads: 1 });
    const run = model.txt2img({ ...options, preview: 'tae' });
    const sizes: unknown[] = [];
    let last: Uint8Array = new Uint8Array();
    for await (const { preview } of run) {
      sizes.push([preview?.width, preview?.height]);
      last = preview?.data ?? last;
    }
    assert.deepEqual(sizes, [
      [64, 16],
      [64, 16],
    ]);
    const { images } = await run;
    const rows = Array.from({ length: 16 }, (_, y) =>
      images.flatMap(({ data }) => [...data.subarray(96 * y, 96 * (y + 1))]),
    );
    assert.ok(psnr(last, rows.flat(), 255) > 40);
  });

  it('keep the VAE where the tiny autoencoder is for previews; without one there are none', async () => {
    await using beside = await loadModel({ model: soundModel(), taesd: whole }, { threads: 1 });
    await using plain = await loadModel(soundModel(), { threads: 1 });
    const [image] = (await beside.txt2img({ ...options, preview: 'tae' })).images;
    assert.deepEqual(image?.data, (await plain.txt2img(options)).images[0]?.data);
    await assert.rejects(async () => plain.txt2img({ ...options, preview: 'tae' }), {
      code: 'ERR_INVALID_ARG_VALUE',
      message: /taesd/,
    });
    await assert.rejects(async () => plain.txt2img({ ...options, preview: 'tiny' as 'tae' }), {
      message: /proj, tae, vae/,
    });
  });

  it('come from the command line too', async () => {
    const [output, preview] = [join(temporaryFolder(), 'taesd.png'), join(temporaryFolder(), 'preview.png')];
    const args = [
      '-m',
      soundModel(),
      '-p',
      'x',
      '-W',
      '32',
      '-H',
      '16',
      '--steps',
      '1',
      '-s',
      '1',
      '-o',
      output,
      '--taesd',
      whole,
    ];
    const { code, stderr } = await diffuse([...args, '--preview', 'tae', '--preview-path', preview]);
    assert.deepEqual([code, stderr], [0, '']);
    const generated = await readImage(output, 'output');
    assert.deepEqual((await readImage(preview, 'preview')).data.length, generated.data.length);
    for (const [flags, message] of [
      [['--vae', whole], /either --vae or --taesd/],
      [['--preview', 'tae'], /--preview-path/],
      [['--preview', 'tiny', '--preview-path', preview], /proj, tae, vae/],
    ] as const) {
      const failed = await diffuse([...args, ...flags]);
      assert.deepEqual([failed.code, message.test(failed.stderr)], [2, true], failed.stderr);
    }
  });
});
