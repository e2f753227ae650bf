// JPEG and WebP files of images: their pixels, and the parameters that other programs look for in EXIF.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import sharp from 'sharp';
import { loadModel, type RgbImage, readMetadata } from '../../lib/index.ts';
import { soundModel } from '../support/bad-models.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-lossy-'));
});
after(() => rm(folder, { recursive: true }));

async function generate(prompt: string): Promise<RgbImage> {
  await using model = await loadModel(soundModel(), { threads: 1 });
  const { images } = await model.txt2img({ prompt, width: 24, height: 16, steps: 1, seed: 7 });
  return images[0] as RgbImage;
}

for (const [prompt, code] of [
  ['a red apple', 'ASCII'],
  ['ein Äpfelchen 🍎', 'UNICODE'],
] as const) {
  test(`the parameters of '${prompt}' are read back from JPEG and WebP`, async () => {
    const image = await generate(prompt);
    for (const name of ['a.jpg', 'a.JPEG', 'a.webp']) {
      const path = join(folder, name);
      await image.save(path);
      const metadata = await readMetadata(path);
      assert.deepEqual([metadata.prompt, metadata.seed, metadata.width], [prompt, 7, 24], name);
      const { exif, width, height } = await sharp(await readFile(path)).metadata();
      assert.deepEqual([width, height], [24, 16]);
      assert.ok(exif?.includes(`${code}\0`), 'the character code of EXIF');
    }
  });
}

test('quality says how near the pixels are and how large the file', async () => {
  const image = await generate('x');
  for (const format of ['jpeg', 'webp'] as const) {
    const files = await Promise.all([10, 90, 100].map((quality) => image[format]({ quality })));
    const errors = await Promise.all(
      files.map(async (file) => {
        const pixels = await sharp(file).raw().toBuffer();
        return pixels.reduce((sum, value, i) => sum + Math.abs(value - (image.data[i] as number)), 0) / pixels.length;
      }),
    );
    assert.ok((files[0] as Buffer).length < (files[2] as Buffer).length);
    assert.ok(
      (errors[0] as number) > (errors[2] as number) && (errors[2] as number) < (format === 'jpeg' ? 1 : 20),
      `${format}: ${errors}`,
    );
    assert.deepEqual(await image[format](), files[1], 'the default is 90');
  }
});

test('parameters too long for a JPEG are left out of it, and stand in a WebP', async () => {
  const image = await generate('photography '.repeat(3000).concat('ä'));
  const [jpeg, webp] = await Promise.all([image.jpeg(), image.webp()]);
  await assert.rejects(readMetadata(jpeg), { code: 'ERR_IMAGE' });
  assert.equal((await sharp(jpeg).metadata()).width, 24);
  assert.equal((await readMetadata(webp)).prompt.length, 36_001);
});

test('a wrong quality and a format that is not written are refused before anything is written', async () => {
  const image = await generate('x');
  const before = await readdir(folder);
  for (const quality of [0, 101, 1.5, Number.NaN]) {
    await assert.rejects(image.save(join(folder, 'no.jpg'), { quality }), { code: 'ERR_INVALID_ARG_VALUE' });
  }
  await assert.rejects(image.jpeg({ quality: '90' } as never), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(image.webp({ qualtiy: 9 } as never), { code: 'ERR_UNKNOWN_OPTION' });
  await assert.rejects(image.save(join(folder, 'no.gif')), { code: 'ERR_WRITE', message: /\.png, \.jpg or \.webp/ });
  assert.deepEqual(await readdir(folder), before);
});

test('an existing file is replaced whole', async () => {
  const image = await generate('x');
  const path = join(folder, 'twice.jpg');
  await image.save(path, { quality: 20 });
  await image.save(path);
  assert.deepEqual(await readFile(path), await image.jpeg());
});
