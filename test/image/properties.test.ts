// Properties of picture metadata that hold for any text and any damage.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DiffusionError } from '../../lib/errors.ts';
import { formatParameters, type GenerationParameters, parseParameters } from '../../lib/image/parameters.ts';
import { readMetadata } from '../../lib/image/read-metadata.ts';
import { RgbImage } from '../../lib/image/rgb-image.ts';

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
/** A prompt may hold anything but a line that begins like a negative prompt; white space at its ends is not kept. */
const prompt = text.map((value) => value.trim()).filter((value) => !/^Negative prompt:/m.test(value));

test('every parameter is read back as it was written', () => {
  const parameters = fc.record({
    prompt,
    negativePrompt: prompt,
    model: text,
    seed: fc.maxSafeNat(),
    cfgScale: fc.double({ noNaN: true, noDefaultInfinity: true }),
  });
  fc.assert(
    fc.property(parameters, (values) => {
      const parsed = parseParameters(formatParameters({ ...plain, ...values }));
      // White space around an unquoted value is not kept either.
      const expected = { ...values, model: /[,:\n]/.test(values.model) ? values.model : values.model.trim() };
      const { prompt, negativePrompt, model, seed, cfgScale } = parsed;
      assert.deepEqual(
        { prompt, negativePrompt, model, seed, cfgScale: (cfgScale as number) + 0 },
        { ...expected, cfgScale: values.cfgScale + 0 },
      );
    }),
  );
});

test('any text is read without an error', () => {
  fc.assert(fc.property(text, (value) => parseParameters(value).raw === value));
});

test('a damaged picture gives its text or a typed error', async () => {
  const png = await new RgbImage(new Uint8Array(192), 8, 8, plain).png();
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
