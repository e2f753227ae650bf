// Properties of image metadata that hold for any text and any damage.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DiffusionError } from '../../lib/core/errors.ts';
import type { GenerationParameters } from '../../lib/image/generation-parameters.ts';
import { RgbImage } from '../../lib/image/rgb-image.ts';
import { readInfotext } from '../../lib/metadata/infotext.ts';
import { interpret } from '../../lib/metadata/interpret.ts';
import { formatParameters } from '../../lib/metadata/parameters.ts';
import { readMetadata } from '../../lib/metadata/read-metadata.ts';
import { KEYWORDS, readStatement } from '../../lib/metadata/texts.ts';

const parse = (text: string) => interpret(readInfotext(text));

const plain: GenerationParameters = {
  prompt: 'x',
  negativePrompt: '',
  steps: 20,
  sampler: 'euler',
  scheduler: 'discrete',
  cfgScale: 7,
  seed: 1,
  width: 8,
  height: 8,
  model: 'm',
  clipSkip: 1,
  rng: 'cpu',
  version: 'v',
};

const text = fc.string({ unit: 'binary' });
/** Texts that look like what is around them, too. */
const tricky = fc
  .array(
    fc.oneof(
      text,
      fc.constantFrom('\n', '\r', ' ', ',', ':', '"', '\\', 'Negative prompt:', 'Steps: 1, Sampler: x, Seed: 2'),
    ),
  )
  .map((parts) => parts.join(''));

test('every parameter is read back as it was written', () => {
  const parameters = fc.record(
    {
      prompt: tricky,
      negativePrompt: tricky,
      model: tricky,
      seed: fc.oneof(fc.maxSafeNat(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n })),
      cfgScale: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(parameters, (values) => {
      const { prompt, negativePrompt, model, seed, cfgScale } = parse(formatParameters({ ...plain, ...values }));
      assert.deepEqual({ prompt, negativePrompt, model, seed, cfgScale }, values);
    }),
    { numRuns: 1000 },
  );
});

test('any text is read without an error', () => {
  fc.assert(fc.property(text, (value) => parse(value).raw === value));
});

test('any JSON under any keyword is read without an error', () => {
  const key = fc.constantFrom(
    ...[
      'prompt',
      'seed',
      'steps',
      'sampler',
      'scheduler',
      'resolution',
      'model',
      'clip_skip',
      'image',
      'styles',
      'version',
    ],
    ...[
      'class_type',
      'inputs',
      'positive',
      'negative',
      'latent_image',
      'cfg',
      'sampler_name',
      'text',
      'model',
      'sigmas',
    ],
    ...['sui_image_params', 'clipstopatlayer', 'Comment', 'Software', 'app_version', '1', '2'],
    ...['__proto__', 'constructor', 'toString', 'valueOf', 'hasOwnProperty'],
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 6 },
      fc.constantFrom('euler', 'KSampler', 'NovelAI', '512x512', '-1', 1, -2, 1e300, true, null),
      fc.oneof(fc.string(), fc.double(), fc.array(tie('value'), { maxLength: 3 })),
      fc.tuple(fc.constantFrom('1', '2'), fc.constant(0)),
      fc.array(fc.tuple(key, tie('value')), { maxLength: 8 }).map((entries) => {
        const object = {};
        for (const [name, one] of entries)
          Object.defineProperty(object, name, { value: one, enumerable: true, configurable: true });
        return object;
      }),
    ),
  }));
  const texts = fc.dictionary(
    fc.constantFrom(...KEYWORDS),
    value.map((one) => JSON.stringify(one)),
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(texts, (all) => {
      const statement = readStatement(new Map(Object.entries(all)));
      if (statement) assert.equal(typeof interpret(statement).prompt, 'string');
    }),
    { numRuns: 2000 },
  );
});

test('a damaged image gives its text or a typed error', async () => {
  const png = await new RgbImage(new Uint8Array(192), 8, 8, plain, formatParameters(plain)).png();
  const damage = fc.record({ at: fc.nat(png.length - 1), byte: fc.nat(255), end: fc.nat(png.length) });
  await fc.assert(
    fc.asyncProperty(damage, async ({ at, byte, end }) => {
      const damaged = Buffer.from(png);
      damaged[at] = byte;
      await readMetadata(damaged.subarray(0, Math.max(end, at))).catch((error) =>
        assert.ok(error instanceof DiffusionError),
      );
    }),
    { numRuns: 300 },
  );
});
