// Guided text to image and prompts that change on the way, against diffusers. Goldens: test/reference/guidance.py.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it, test } from 'node:test';
import { type GenerationStep, loadModel, type Model, readMetadata, type Txt2ImgOptions } from '../../lib/index.ts';
import { floats, golden } from '../support/golden.ts';
import { writeSafetensors } from '../support/safetensors.ts';
import { distilledArchitecture, xlArchitecture } from '../support/tiny-architectures.ts';
import { tinyControlNet } from '../support/tiny-control-net.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

type Golden = Txt2ImgOptions & {
  model: 'tiny' | 'xl';
  prediction: 'epsilon' | 'v';
  /** Base64 of float32. */
  latent: string;
};

const COMMON = { sampler: 'euler', scheduler: 'discrete', rng: 'cpu' } as const;
const LOAD = { device: 'cpu', threads: 1, precision: 'f32' } as const;

async function lastLatent(model: Model, options: Txt2ImgOptions): Promise<Float32Array> {
  const steps: GenerationStep[] = [];
  for await (const step of model.txt2img({ ...COMMON, ...options })) steps.push(step);
  return steps.at(-1)?.latent as Float32Array;
}

describe('guided images end with the latents of diffusers', () => {
  for (const { latent, model: name, prediction, ...options } of golden<Golden[]>('guidance.json')) {
    const { prompt, negativePrompt, cfgScale, cfgRescale, pagScale, guidanceInterval } = options;
    const title = JSON.stringify({ prompt, negativePrompt, cfgScale, cfgRescale, pagScale, guidanceInterval });
    it(`${name}, predicting ${prediction}: ${title}`, async () => {
      const architecture = name === 'xl' ? { architecture: xlArchitecture } : {};
      await using model = await loadModel(tinyModel({ ...architecture, vocabulary: 49408 }).path, {
        ...LOAD,
        prediction,
      });
      const actual = await lastLatent(model, options);
      const expected = floats(latent);
      assert.equal(actual.length, expected.length);
      const largest = Math.max(...expected.map(Math.abs));
      const error = Math.max(...expected.map((value, i) => Math.abs(value - (actual[i] as number)))) / largest;
      assert.ok(error <= 1e-3, `a relative error of ${error}`);
    });
  }
});

describe('steering', () => {
  const tinyNet = tinyControlNet();
  let model: Model;
  const small = { prompt: 'a red apple', width: 16, height: 16, steps: 4, seed: 7, sampler: 'euler' } as const;
  const generate = (options: Partial<Txt2ImgOptions> = {}) => lastLatent(model, { ...small, ...options });
  before(async () => {
    model = await loadModel(tinyModel({ vocabulary: 49408 }).path, LOAD);
  });
  after(() => model.dispose());

  test('options that guide nothing change nothing', async () => {
    const plain = await generate();
    assert.deepEqual(await generate({ cfgRescale: 0, pagScale: 0, guidanceInterval: [0, 1] }), plain);
    assert.deepEqual(await generate({ prompt: '[a red apple:a pear:9]', negativePrompt: '[nothing::0]' }), plain);
    const unguided = await generate({ cfgScale: 1 });
    assert.deepEqual(await generate({ cfgScale: 1, cfgRescale: 0.7 }), unguided);
    assert.deepEqual(await generate({ guidanceInterval: [0.9, 0.99], pagScale: 3 }), unguided);
  });

  test('outside of the interval the prompt alone counts, also at a scale of 0', async () => {
    const late = await generate({ cfgScale: 0, guidanceInterval: [0.5, 1] });
    assert.notDeepEqual(late, await generate({ cfgScale: 0 }));
    assert.notDeepEqual(late, await generate({ cfgScale: 0, guidanceInterval: [0.5, 1], prompt: 'a pear' }));
  });

  test('a sampler that evaluates twice a step counts twice', async () => {
    // Evaluations 0 to 3 are those of the first two of four steps; the last has number 6.
    const texts = (prompt: string) => generate({ sampler: 'heun', prompt });
    assert.deepEqual(await texts('[a:a pear:6]'), await texts('a'));
    assert.notDeepEqual(await texts('[a:a pear:5]'), await texts('a'));
    assert.deepEqual(await texts('[a:a pear:0.5]'), await texts('[a:a pear:4]'));
  });

  test("a sampler of the user's own counts steps, however often it evaluates", async () => {
    const eager = (prompt: string) =>
      generate({
        prompt,
        sampler: async (denoise, x, sigmas, { onStep }) => {
          const total = sigmas.length - 1;
          let latent = x;
          for (let index = 0; index < total; index++) {
            const sigma = sigmas[index] as number;
            for (let i = 0; i < 3; i++) latent = await denoise(x, sigma);
            await onStep?.({ index, total, sigma, latent, denoised: latent });
          }
          return latent;
        },
      });
    assert.deepEqual(await eager('[a:a pear:3]'), await eager('a'));
    assert.deepEqual(await eager('[a:a pear:2]'), await eager('a pear'));
  });

  test('edits leave weights, breaks and uneven lengths alone', async () => {
    const long = `${'very '.repeat(80)}(big:1.3) BREAK apple`;
    const edited = await generate({ prompt: `[a:${long}:1]`, negativePrompt: '[a|b BREAK c]' });
    assert.notDeepEqual(edited, await generate({ prompt: 'a', negativePrompt: '[a|b BREAK c]' }));
    assert.deepEqual(await generate({ prompt: '([a:b:9]:1.3) [c]' }), await generate({ prompt: '(a:1.3) [c]' }));
  });

  test('image to image counts the steps that it takes, and shares are of all steps', async () => {
    const image = { width: 16, height: 16, data: Uint8Array.from({ length: 3 * 16 * 16 }, (_, i) => (i * 37) % 256) };
    const regenerate = async (prompt: string) => {
      const { images } = await model.img2img({ ...small, image, strength: 0.5, prompt });
      return images[0]?.data;
    };
    assert.deepEqual(await regenerate('[a:a pear:0.5]'), await regenerate('a'));
    assert.deepEqual(await regenerate('[a:a pear:0.0]'), await regenerate('a pear'));
    assert.notDeepEqual(await regenerate('a pear'), await regenerate('a'));
  });

  test('a ControlNet leads the perturbed network too', async () => {
    const image = { width: 16, height: 16, data: Uint8Array.from({ length: 3 * 16 * 16 }, (_, i) => (i * 91) % 256) };
    const withControl = (strength: number, cfgScale: number) =>
      generate({ pagScale: 3, cfgScale, controls: [{ model: tinyNet, image, strength }] });
    assert.deepEqual(await withControl(0, 1), await generate({ pagScale: 3, cfgScale: 1 }));
    assert.notDeepEqual(await withControl(1, 1), await withControl(0, 1));
    assert.notDeepEqual(await withControl(1, 5), await withControl(1, 1));
  });

  test('embeddings and edits go together', async () => {
    const path = join(temporaryFolder(), 'shiny.safetensors');
    const values = Float32Array.from({ length: 3 * 64 }, (_, i) => Math.sin(i));
    writeSafetensors(path, [{ name: 'emb_params', dtype: 'f32', shape: [3, 64], values }]);
    const embeddings = [{ path }];
    const late = await generate({ prompt: 'a [b:shiny:1] cat', embeddings });
    assert.notDeepEqual(late, await generate({ prompt: 'a [b:shiny:1] cat' }));
    assert.deepEqual(
      await generate({ prompt: 'a [b:shiny:9] cat', embeddings }),
      await generate({ prompt: 'a b cat' }),
    );
  });

  test('an image says how it was guided', async () => {
    const { images } = await model.txt2img({ ...small, cfgRescale: 0.7, pagScale: 3, guidanceInterval: [0.1, 0.9] });
    const { fields } = await readMetadata(await (images[0] as { png(): Promise<Uint8Array> }).png());
    assert.equal(fields['CFG Rescale'], '0.7');
    assert.equal(fields['PAG scale'], '3');
    assert.equal(fields['Guidance interval'], '0.1, 0.9');
  });

  const WRONG: [options: Record<string, unknown>, message: RegExp][] = [
    [{ cfgRescale: 1.5 }, /from 0 to 1 for cfgRescale/],
    [{ cfgRescale: Number.NaN }, /cfgRescale/],
    [{ cfgRescale: '0.7' }, /cfgRescale/],
    [{ pagScale: -1 }, /at least 0 for pagScale/],
    [{ pagScale: Number.POSITIVE_INFINITY }, /pagScale/],
    [{ guidanceInterval: 0.5 }, /an array of two numbers/],
    [{ guidanceInterval: [0.5] }, /an array of two numbers/],
    [{ guidanceInterval: [0, 1, 1] }, /an array of two numbers/],
    [{ guidanceInterval: [0.5, 0.5] }, /the first below the second.*\[0.5, 0.5\]/],
    [{ guidanceInterval: [0.8, 0.2] }, /the first below the second/],
    [{ guidanceInterval: [-0.1, 1] }, /from 0 to 1/],
    [{ guidanceInterval: [0, Number.NaN] }, /from 0 to 1/],
    [{ guidanceInterval: ['0', '1'] }, /an array of two numbers/],
    [{ prompt: `[a:${'('.repeat(257)}:0.5]` }, /at most 256 brackets open/],
    [{ prompt: '['.repeat(65_536) }, /at most 256 brackets open/],
    [{ negativePrompt: '[a:(b:1.2.3):0.5]' }, /a number as attention weight for negativePrompt/],
    [{ prompt: `[${'a|'.repeat(10_000)}]`, steps: 1000 }, /at most 262144 characters.*for prompt/],
    [{ prompt: `[a:${'very '.repeat(5000)}:2]` }, /at most 64 chunks/],
    [{ prompt: Array.from({ length: 30 }, (_, i) => `[a|${'b '.repeat(90 * i)}|c]`).join(' '), steps: 900 }, /at most/],
  ];
  for (const [options, message] of WRONG) {
    test(`refused: ${JSON.stringify(options).slice(0, 60)}`, async () => {
      const code = /^ERR_INVALID_ARG_(VALUE|TYPE)$/;
      await assert.rejects(generate(options as Partial<Txt2ImgOptions>), { message, code });
    });
  }

  test('what AUTOMATIC1111 takes for text is text', async () => {
    for (const prompt of ['[a:b:NaN]', '[::]', 'a | b', '[a', '](|', 'a\\']) {
      assert.equal((await generate({ prompt, steps: 1 })).length, 16);
    }
  });
});

test('perturbed attention is refused where the UNet has none to perturb', async () => {
  await using model = await loadModel(tinyModel({ architecture: distilledArchitecture, vocabulary: 49408 }).path, LOAD);
  assert.equal(model.info.middleAttention, false);
  await assert.rejects(lastLatent(model, { prompt: 'a', width: 16, height: 16, steps: 1, pagScale: 3 }), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /no attention in its middle block, for pagScale/,
  });
});
