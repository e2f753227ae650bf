// Tags of LoRAs in prompts: what they say, and which files they can reach. Whoever writes a prompt may be anyone.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { loadModel, type Model, type Txt2ImgOptions } from '../../lib/index.ts';
import { type TestTensor, writeSafetensors } from '../support/safetensors.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

const outside = join(temporaryFolder(), 'tags');
const folder = join(outside, 'loras');
mkdirSync(join(folder, 'sub', 'peft'), { recursive: true });
const secret = 'root:x:0:0:very secret';

function lora(path: string, extra: TestTensor[] = []): string {
  const values = (n: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i));
  const pair = (layer: string): TestTensor[] => [
    { name: `${layer}.lora_up.weight`, dtype: 'f32', shape: [64, 1], values: values(64) },
    { name: `${layer}.lora_down.weight`, dtype: 'f32', shape: [1, 64], values: values(64) },
  ];
  const layers = ['lora_unet_mid_block_attentions_0_proj_in', 'lora_te_text_model_encoder_layers_0_self_attn_q_proj'];
  writeSafetensors(path, [...layers.flatMap(pair), ...extra]);
  return path;
}

const path = lora(join(folder, 'stripes.safetensors'));
lora(join(folder, 'sub', 'stripes.safetensors'));
lora(join(folder, 'sub', 'peft', 'adapter_model.safetensors'));
lora(join(outside, 'stripes.safetensors'));

let model: Model;
before(async () => {
  model = await loadModel(tinyModel({ vocabulary: 49408 }).path, { device: 'cpu', threads: 1 });
});
after(() => model.dispose());

const generate = async (options: Partial<Txt2ImgOptions> & { prompt: string }) =>
  model.txt2img({ steps: 1, width: 32, height: 32, seed: 5, loraDirectory: folder, ...options });
const pixels = async (options: Parameters<typeof generate>[0]) => (await generate(options)).images[0]?.data;

describe('a tag says how much of a LoRA the UNet and the text encoders get', () => {
  const rows: readonly [tag: string, weight: number, textEncoderWeight: number][] = [
    ['<lora:stripes>', 1, 1],
    ['<lora: stripes : .7 >', 0.7, 0.7],
    ['<lyco:stripes:0.7>', 0.7, 0.7],
    ['<lora:stripes:0.7:0.5>', 0.5, 0.7],
    ['<lora:stripes:te=0.7:unet=0.5>', 0.5, 0.7],
    ['<lora:stripes:unet=0.5:te=0.7>', 0.5, 0.7],
    ['<lora:stripes:unet=0.5>', 0.5, 1],
    ['<lora:stripes:te=0.5>', 0.5, 0.5],
    ['<lora:stripes:0.7:unet=0>', 0, 0.7],
    ['<lora:sub/stripes:-1>', -1, -1],
    ['<lora:sub/peft>', 1, 1],
  ];
  for (const [tag, weight, textEncoderWeight] of rows) {
    it(tag, async () => {
      const tagged = await generate({ prompt: `a red${tag} apple` });
      const given = await generate({ prompt: 'a red apple', loras: [{ path, weight, textEncoderWeight }] });
      assert.deepEqual(tagged.images[0]?.data, given.images[0]?.data);
      assert.deepEqual(
        [tagged.loras[0]?.weight, tagged.loras[0]?.textEncoderWeight ?? weight],
        [weight, textEncoderWeight],
      );
    });
  }

  it('and the image says so', async () => {
    const { images } = await generate({ prompt: 'a<lora:stripes:0.7:0.5>' });
    assert.deepEqual(images[0]?.parameters?.loras, [
      { path, weight: 0.5, textEncoderWeight: 0.7, applied: 4, tensors: 4 },
    ]);
  });

  for (const tag of [
    '<lora:>',
    '<lyco:>',
    '<lora:stripes:>',
    '<lora:stripes:x>',
    '<lora:stripes:1:2:3>',
    '<lora:stripes:1:dyn=3>',
    '<lora:stripes:te=>',
    '<lora:stripes:te=1:te=2>',
    '<lora:stripes:Infinity>',
    '<hypernet:stripes:1>',
  ]) {
    it(`${tag} is refused`, async () => {
      const refusal = { code: 'ERR_INVALID_ARG_VALUE', message: /^Expected (a LoRA as <lora:|no hypernetwork)/ };
      await assert.rejects(generate({ prompt: tag }), refusal);
      const negative = { code: 'ERR_INVALID_ARG_VALUE', message: /negativePrompt/ };
      await assert.rejects(generate({ prompt: 'a', negativePrompt: tag }), negative);
    });
  }
});

describe('a tag names a file in the folder of LoRAs', () => {
  writeFileSync(join(outside, 'passwd.safetensors'), secret);
  writeFileSync(join(outside, 'passwd'), secret);
  symlinkSync(join(outside, 'passwd.safetensors'), join(folder, 'link.safetensors'));
  symlinkSync(outside, join(folder, 'up'));
  symlinkSync(join(folder, 'nowhere'), join(folder, 'broken.safetensors'));
  symlinkSync(join(folder, 'sub', 'stripes.safetensors'), join(folder, 'inner.safetensors'));
  writeFileSync(join(folder, 'notes.txt'), secret);
  mkdirSync(join(folder, 'empty.safetensors'));
  const long = 'x'.repeat(5000);
  const names = [
    '../stripes',
    '../passwd',
    join(outside, 'stripes.safetensors'),
    join(outside, 'passwd'),
    path,
    'sub/../stripes',
    'link',
    'link.safetensors',
    'up/stripes',
    'up/passwd',
    'broken',
    'notes.txt',
    'empty.safetensors',
    'sub',
    '.',
    'nowhere',
    'a\0b',
    long,
    relative(process.cwd(), path),
  ];
  for (const name of names) {
    it(`and none by ${JSON.stringify(name.slice(0, 60).replaceAll(outside, 'OUTSIDE'))}`, async () => {
      await assert.rejects(generate({ prompt: `a<lora:${name}:1>` }), (error: Error & { code: string }) => {
        assert.equal(error.code, 'ERR_FILE');
        assert.equal(error.message.replaceAll(name, 'NAME').includes(outside), false);
        assert.doesNotMatch(error.message, /root|secret/);
        return true;
      });
    });
  }

  it('which a link within the folder may lead to', async () => {
    assert.deepEqual(await pixels({ prompt: '<lora:inner>' }), await pixels({ prompt: '<lora:stripes>' }));
  });

  it('which a folder that is a link itself may hold', async () => {
    const link = join(outside, 'link-to-loras');
    symlinkSync(folder, link);
    const prompt = '<lora:stripes>';
    assert.deepEqual(await pixels({ prompt, loraDirectory: link }), await pixels({ prompt }));
  });

  it('and none without such a folder, but where the caller trusts the prompt', async () => {
    const prompt = `a<lora:${path}:1>`;
    const refusal = { code: 'ERR_INVALID_ARG_VALUE', message: /the folder of the LoRAs named in the prompt/ };
    await assert.rejects(generate({ prompt, loraDirectory: undefined }), refusal);
    const options = { prompt, loraDirectory: undefined, loraTags: 'paths' as const };
    assert.deepEqual(await pixels(options), await pixels({ prompt: 'a', loras: [{ path }] }));
    assert.deepEqual(
      await pixels({ prompt: 'a<lora:up/stripes>', loraTags: 'paths' }),
      await pixels({ prompt: 'a', loras: [{ path }] }),
    );
    const unknown = { code: 'ERR_INVALID_ARG_VALUE', message: /names, paths for loraTags/ };
    await assert.rejects(generate({ prompt, loraTags: 'files' as 'paths' }), unknown);
  });

  it('and learns nothing about the contents of files that are not LoRAs', async () => {
    const shape = { name: `${secret}.weight`, dtype: 'f32' as const, shape: [1], values: Float32Array.of(1) };
    writeFileSync(join(folder, 'text.safetensors'), secret);
    writeFileSync(join(folder, 'text.pt'), secret);
    writeSafetensors(join(folder, 'other.safetensors'), [shape]);
    writeSafetensors(join(folder, 'wide.safetensors'), [
      { name: `lora_unet_${secret}.lora_up.weight`, dtype: 'f32', shape: [1, 1], values: Float32Array.of(1) },
    ]);
    lora(join(folder, 'oft.safetensors'), [{ ...shape, name: `${secret}.oft_blocks`, shape: [1, 1, 1] }]);
    const broken = join(folder, 'bundle.safetensors');
    lora(broken, [{ ...shape, name: 'bundle_emb.secret.emb_params', shape: [1, 3], values: Float32Array.of(1, 2, 3) }]);
    for (const [name, code, words] of [
      ['text', 'ERR_MODEL_', /damaged, or not a tensor file|is not a LoRA/],
      ['text.pt', 'ERR_MODEL_', /damaged, or not a tensor file|is not a LoRA/],
      ['other', 'ERR_MODEL_UNSUPPORTED', /is not a LoRA/],
      ['wide', 'ERR_MODEL_MISMATCH', /no place for/],
      ['oft', 'ERR_MODEL_UNSUPPORTED', /is of type OFT/],
    ] as const) {
      const loras = [{ path }];
      await assert.rejects(generate({ prompt: `a<lora:${name}>`, loras }), (error: Error & { code: string }) => {
        assert.ok(error.code.startsWith(code), error.code);
        assert.match(error.message, new RegExp(`^The LoRA '${name}' in the prompt`));
        assert.match(error.message, words);
        assert.doesNotMatch(JSON.stringify([error.message, String(error.cause)]), /root|secret|tmp/);
        return true;
      });
    }
    await assert.rejects(generate({ prompt: 'a secret<lora:bundle>' }), (error: Error & { code: string }) => {
      assert.equal(error.code, 'ERR_MODEL_MISMATCH');
      assert.match(error.message, /^'bundle': expected vectors of/);
      assert.doesNotMatch(error.message, /tmp|root/);
      return true;
    });
    const own = { code: 'ERR_MODEL_UNSUPPORTED', message: /other\.safetensors': .* such as 'root:x:0:0:very secret/ };
    const loras = [{ path: join(folder, 'other.safetensors') }];
    await assert.rejects(generate({ prompt: 'a<lora:stripes>', loras }), own);
  });

  it('is blamed for no file but its own, however long its path or strange its folder', async () => {
    const strange = process.platform === 'win32' ? [] : ['line\nbreak'];
    for (const name of ['long'.repeat(40), "it's", ...strange]) {
      const place = join(folder, name);
      const [alone, peft] = [join(place, 'alone'), join(place, 'peft')];
      for (const one of [alone, peft]) mkdirSync(one, { recursive: true });
      const broken = join(alone, 'broken.safetensors');
      writeFileSync(broken, secret);
      lora(join(peft, 'adapter_model.safetensors'), []);
      writeFileSync(join(peft, 'adapter_config.json'), '[]');
      const prompt = 'a<lora:stripes>';
      for (const own of [broken, peft]) {
        await assert.rejects(generate({ prompt, loras: [{ path: own }] }), (error: Error & { code: string }) => {
          assert.equal(error.code, 'ERR_MODEL_UNSUPPORTED');
          return !error.message.includes('in the prompt');
        });
      }
      const loras = [{ path: join(folder, 'stripes.safetensors') }];
      const withheld = { code: 'ERR_MODEL_UNSUPPORTED', message: /^The LoRA '.*broken' in the prompt is not a LoRA/ };
      await assert.rejects(generate({ prompt: '<lora:broken>', loras, loraDirectory: alone }), withheld);
    }
  });

  it('nor waits for a pipe', { skip: process.platform === 'win32' }, async () => {
    execFileSync('mkfifo', [join(folder, 'pipe.safetensors')]);
    await assert.rejects(generate({ prompt: '<lora:pipe>' }), { code: 'ERR_FILE' });
  });
});

describe('a word names an embedding in its folder', () => {
  const words = join(outside, 'words');
  mkdirSync(words);
  const values = Float32Array.from({ length: 64 }, (_, i) => Math.cos(i));
  writeSafetensors(join(outside, 'elsewhere.safetensors'), [
    { name: 'emb_params', dtype: 'f32', shape: [1, 64], values },
  ]);
  symlinkSync(join(outside, 'elsewhere.safetensors'), join(words, 'zzword.safetensors'));

  it('and none that a link in it leads to elsewhere, but where the caller trusts the prompt', async () => {
    const options = { prompt: 'a zzword', embeddingDirectory: words };
    await assert.rejects(generate(options), { code: 'ERR_FILE', message: /'zzword' .* a link that leads out of it/ });
    assert.deepEqual((await generate({ ...options, prompt: 'another word' })).embeddings, []);
    assert.equal((await generate({ ...options, loraTags: 'paths' })).embeddings.length, 1);
  });
});
