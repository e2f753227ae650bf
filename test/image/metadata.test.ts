// Image files: pixels and generation parameters out and back in, and what hostile files do.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, chown, lstat, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import encodeChunks from 'png-chunks-encode';
import { PNG } from 'pngjs';
import type { GenerationParameters } from '../../lib/image/generation-parameters.ts';
import { RgbImage, toRgbBytes } from '../../lib/image/rgb-image.ts';
import { readInfotext } from '../../lib/metadata/infotext.ts';
import { interpret } from '../../lib/metadata/interpret.ts';
import { formatParameters } from '../../lib/metadata/parameters.ts';
import { readMetadata } from '../../lib/metadata/read-metadata.ts';
import { moduleUrl } from '../support/places.ts';

/** The user who owns nothing, on Linux. */
const NOBODY = 65534;
const parse = (text: string) => interpret(readInfotext(text));

const parameters: GenerationParameters = {
  prompt: 'a red apple, (shiny:1.3)',
  negativePrompt: 'blurry',
  steps: 20,
  sampler: 'euler_a',
  scheduler: 'karras',
  cfgScale: 7.5,
  seed: 123456789,
  width: 3,
  height: 2,
  model: 'v1-5',
  clipSkip: 2,
  rng: 'cuda',
  version: 'node-diffusion 0.1.0',
};
const pixels = Uint8Array.from({ length: 18 }, (_, i) => i * 14);

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-image-'));
});
after(() => rm(folder, { recursive: true }));

test('a saved image holds the same pixels and parameters', async () => {
  const path = join(folder, 'apple.png');
  await withParameters(parameters).save(path);
  const decoded = PNG.sync.read(await readFile(path));
  assert.deepEqual([decoded.width, decoded.height], [3, 2]);
  assert.deepEqual(
    [...decoded.data].filter((_, i) => i % 4 !== 3),
    [...pixels],
  );
  const { raw, fields, options, software, warnings, ...metadata } = await readMetadata(path);
  const { version, model, ...expected } = parameters;
  assert.deepEqual(metadata, { ...expected, model, strength: undefined });
  assert.deepEqual([options, software, warnings], [expected, version, []]);
  assert.equal(fields.Version, version);
  assert.equal(raw, formatParameters(parameters));
  assert.deepEqual(await readdir(folder), ['apple.png'], 'no temporary file stays');
});

test('parameters are written in the form of A1111', () => {
  assert.equal(
    formatParameters(parameters),
    'a red apple, (shiny:1.3)\nNegative prompt: blurry\n' +
      'Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7.5, Seed: 123456789, Size: 3x2, Model: v1-5, ' +
      'Clip skip: 2, RNG: NV, Version: node-diffusion 0.1.0',
  );
});

test('values with commas, colons and line breaks survive', () => {
  const model = 'a, b: "c"\n\\d';
  const { scheduler: _, ...rest } = parameters;
  const text = formatParameters({ ...rest, model, sigmas: [14.6, 2.5, 0], clipSkip: 1 });
  const metadata = parse(text);
  assert.equal(metadata.model, model);
  assert.equal(metadata.fields.Sigmas, '14.6, 2.5, 0');
  assert.equal(metadata.clipSkip, 1);
});

test('prompts of several lines and every script survive', async () => {
  for (const prompt of ['', 'one\ntwo\n\nfour', 'Äpfel', 'りんご 🍎', 'a: b, c: d, e: f']) {
    for (const negativePrompt of ['', 'x\ny, z: 1']) {
      const metadata = await readMetadata(await withParameters({ ...parameters, prompt, negativePrompt }).png());
      assert.deepEqual([metadata.prompt, metadata.negativePrompt], [prompt, negativePrompt]);
      assert.equal(metadata.seed, parameters.seed);
    }
  }
});

test('text outside Latin-1 goes into iTXt and other text into tEXt', async () => {
  const kind = async (prompt: string) => {
    const png = await withParameters({ ...parameters, prompt }).png();
    return ['tEXt', 'iTXt'].filter((name) => png.includes(name));
  };
  assert.deepEqual(await kind('Äpfel'), ['tEXt']);
  assert.deepEqual(await kind('りんご'), ['iTXt']);
  assert.deepEqual(await kind('Ã¤'), ['iTXt'], 'Latin-1 that would be read as UTF-8');
});

test('a hostile text takes no more than its length in time', () => {
  const started = performance.now();
  for (const text of ['a '.repeat(2e6), 'a: "'.repeat(1e6), 'a b:,'.repeat(1e6), '\n'.repeat(4e6), '"\\'.repeat(2e6)]) {
    assert.equal(parse(text).raw, text);
  }
  assert.ok(performance.now() - started < 5000);
});

test('network output becomes bytes by rounding and clamping', async () => {
  const planes = Float32Array.of(-1, 1, /* green */ -3, 5, /* blue */ 0, 0.1);
  assert.deepEqual([...(await toRgbBytes(planes))], [0, 0, 128, 255, 255, 140]);
});

test('an image that cannot be written is refused with the reason', async () => {
  const image = new RgbImage(pixels, 3, 2);
  const missing = join(folder, 'no', 'such', 'a.png');
  await assert.rejects(image.save(missing), (error: Error & { code?: string }) => {
    return error.code === 'ERR_WRITE' && error.message.includes(join(folder, 'no', 'such'));
  });
  for (const path of [folder, '', join(folder, 'no/')]) await assert.rejects(image.save(path), { code: 'ERR_WRITE' });
  await assert.rejects(image.save(join(folder, 'x'.repeat(300))), { code: 'ERR_WRITE' });
  await assert.rejects(image.save(join(folder, 'nul\0')), { code: 'ERR_WRITE' });
});

test('a folder or a file that may not be written is refused', { skip: process.platform === 'win32' }, async () => {
  const closed = await mkdtemp(join(tmpdir(), 'node-diffusion-closed-'));
  const path = join(closed, 'a.png');
  await writeFile(path, 'mine', { mode: 0o444 });
  // Root may write anywhere, so the process becomes another user once it has loaded its modules, which that user may not
  // be able to read.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) for (const one of [closed, path]) await chown(one, NOBODY, NOBODY);
  const script = `
    import { RgbImage } from ${JSON.stringify(moduleUrl('lib/image/rgb-image.ts'))};
    const image = new RgbImage(new Uint8Array(18), 3, 2);
    const [, loaded, ...paths] = process.argv;
    await image.save(loaded);
    if (${isRoot}) {
      process.setgid(${NOBODY});
      process.setuid(${NOBODY});
    }
    for (const path of paths) {
      await image.save(path).then(() => console.log('saved'), ({ code, message }) => console.log(code, message));
    }`;
  const save = (...to: string[]) => {
    const args = ['--input-type=module', '-e', script, join(folder, 'loaded.png'), ...to];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    return stdout || stderr;
  };
  try {
    assert.match(save(path, join(closed, 'b.png')), /^ERR_WRITE .*EACCES.*\nsaved\n$/);
    assert.equal(String(await readFile(path)), 'mine');
    await chmod(closed, 0o555);
    assert.match(save(join(closed, 'c.png')), /^ERR_WRITE .*EACCES/);
    assert.deepEqual((await readdir(closed)).sort(), ['a.png', 'b.png']);
  } finally {
    await chmod(closed, 0o755);
    await rm(closed, { recursive: true });
  }
});

test('a link that leads to no file yet makes that file and stays; a folder is never made', async () => {
  const image = new RgbImage(pixels, 3, 2);
  const [first, second, target] = ['first.png', 'second.png', 'made.png'].map((name) => join(folder, name));
  await symlink('second.png', first as string);
  await symlink(target as string, second as string);
  await image.save(first as string);
  assert.ok((await lstat(first as string)).isSymbolicLink() && (await lstat(second as string)).isSymbolicLink());
  assert.ok((await lstat(target as string)).isFile());
  const nowhere = join(folder, 'nowhere.png');
  await symlink(join('no', 'x.png'), nowhere);
  const missing = { code: 'ERR_WRITE', message: /nowhere\.png': the folder '.*no' does not exist/ };
  await assert.rejects(image.save(nowhere), missing);
  assert.ok((await lstat(nowhere)).isSymbolicLink());
  const below = join(target as string, 'x.png');
  await assert.rejects(image.save(below), { code: 'ERR_WRITE', message: /made\.png' is not a folder$/ });
});

test('a link is followed and a device is written to as it is', async () => {
  const target = join(folder, 'target.png');
  const link = join(folder, 'link.png');
  await writeFile(target, 'old');
  await symlink(target, link);
  await new RgbImage(pixels, 3, 2).save(link);
  assert.equal(PNG.sync.read(await readFile(target)).width, 3);
  await new RgbImage(pixels, 3, 2).save('/dev/null');
  assert.equal((await readFile('/dev/null')).length, 0);
});

test('hostile images give a typed error', async () => {
  const png = await withParameters(parameters).png();
  const edit = (change: (bytes: Buffer) => void) => {
    const copy = Buffer.from(png);
    change(copy);
    return copy;
  };
  const chunk = (name: string, data: Buffer) => {
    const extra = encodeChunks([{ name, data }]).subarray(8);
    return Buffer.concat([png.subarray(0, 33), extra, png.subarray(33)]);
  };
  const text = png.indexOf('tEXt');
  const hostile: Record<string, Uint8Array> = {
    'an empty file': new Uint8Array(0),
    'one byte': Uint8Array.of(0x89),
    'a JPEG': Buffer.from('ffd8ffe000104a464946', 'hex'),
    'a signature alone': png.subarray(0, 8),
    'a cut chunk': png.subarray(0, text + 10),
    'a file without its end': png.subarray(0, png.length - 12),
    'a wrong checksum': edit((bytes) => bytes.write('Q', text + 20)),
    'a chunk of 4 GB': edit((bytes) => bytes.writeUInt32BE(0xffffffff, text - 4)),
    'a chunk one byte too long': edit((bytes) => bytes.writeUInt32BE(png.length - text - 7, text - 4)),
    'no IHDR': Buffer.concat([png.subarray(0, 8), png.subarray(33)]),
    'text without a separator': chunk('tEXt', Buffer.from('parameters')),
    'compressed text that is none': chunk('zTXt', Buffer.from('parameters\0\0junk')),
    'a compression bomb': chunk('zTXt', Buffer.concat([Buffer.from('parameters\0\0'), deflateSync(Buffer.alloc(2e7))])),
    'an image without parameters': await new RgbImage(pixels, 3, 2).png(),
  };
  for (const [name, bytes] of Object.entries(hostile)) {
    await assert.rejects(readMetadata(bytes), { name: 'DiffusionError', code: 'ERR_IMAGE' }, name);
  }
  await assert.rejects(readMetadata(folder), { code: 'ERR_FILE' });
  await assert.rejects(readMetadata(join(folder, 'missing.png')), { code: 'ERR_FILE' });
  await assert.rejects(readMetadata(7 as never), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
});

test('text is in UTF-8 where its bytes are that, otherwise in Latin-1', async () => {
  const png = await new RgbImage(pixels, 3, 2).png();
  const lines = formatParameters({ ...parameters, prompt: 'PROMPT' });
  const texts: [string, Buffer][] = [
    ['ein Äpfel 一只猫 😀', Buffer.from('ein Äpfel 一只猫 😀')],
    ['ein Äpfel, café', Buffer.from('ein Äpfel, café', 'latin1')],
    ['ein Äpfel, caf\u00e9 \u0096', Buffer.from('ein Äpfel, caf\u00e9 \u0096', 'latin1')],
  ];
  for (const [prompt, bytes] of texts) {
    const [before, after] = lines.split('PROMPT') as [string, string];
    const data = Buffer.concat([Buffer.from(before), bytes, Buffer.from(after)]);
    const chunks = {
      tEXt: Buffer.concat([Buffer.from('parameters\0'), data]),
      zTXt: Buffer.concat([Buffer.from('parameters\0\0'), deflateSync(data)]),
    };
    for (const [name, data] of Object.entries(chunks)) {
      const extra = encodeChunks([{ name, data }]).subarray(8);
      const metadata = await readMetadata(Buffer.concat([png.subarray(0, 33), extra, png.subarray(33)]));
      assert.equal(metadata.prompt, prompt, name);
    }
  }
});

test('the texts of other programs are found under their own keywords', async () => {
  const png = await new RgbImage(pixels, 3, 2).png();
  const withTexts = (texts: Record<string, string>) => {
    const chunks = Object.entries(texts).map(([key, text]) => ({ name: 'tEXt', data: Buffer.from(`${key}\0${text}`) }));
    return Buffer.concat([png.subarray(0, 33), encodeChunks(chunks).subarray(8), png.subarray(33)]);
  };
  const programs: [string, Record<string, string>][] = [
    ['ComfyUI', { workflow: '{}', prompt: '{"1": {"class_type": "LoadImage", "inputs": {}}}' }],
    ['SwarmUI', { parameters: '{"sui_image_params": {"prompt": "a"}}' }],
    ['Fooocus', { parameters: '{"prompt": "a", "seed": "1"}', fooocus_scheme: 'fooocus' }],
    ['InvokeAI 5.4.2', { invokeai_metadata: '{"app_version": "5.4.2", "seed": 1}' }],
    ['InvokeAI v2.2', { 'sd-metadata': '{"app_version": "v2.2", "image": {"prompt": "a", "seed": 1}}' }],
    ['NovelAI', { Software: 'NovelAI', Description: 'a', Comment: '{"seed": 1, "uc": ""}' }],
  ];
  for (const [software, texts] of programs) assert.equal((await readMetadata(withTexts(texts))).software, software);
});

test('compressed text is read', async () => {
  const png = await new RgbImage(pixels, 3, 2).png();
  const raw = formatParameters({ ...parameters, prompt: 'Äpfel' });
  const chunks: Record<string, Buffer> = {
    zTXt: Buffer.concat([Buffer.from('parameters\0\0'), deflateSync(Buffer.from(raw, 'latin1'))]),
    iTXt: Buffer.concat([Buffer.from('parameters\0\x01\0de\0Wort\0'), deflateSync(Buffer.from(raw))]),
  };
  for (const [name, data] of Object.entries(chunks)) {
    const extra = encodeChunks([{ name, data }]).subarray(8);
    const metadata = await readMetadata(Buffer.concat([png.subarray(0, 33), extra, png.subarray(33)]));
    assert.equal(metadata.raw, raw, name);
  }
});

function withParameters(parameters: GenerationParameters): RgbImage {
  return new RgbImage(pixels, 3, 2, parameters, formatParameters(parameters));
}
