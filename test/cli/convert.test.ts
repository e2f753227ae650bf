// `diffuse convert`: flags, what is printed, exit codes and signals.

import assert from 'node:assert/strict';
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PNG } from 'pngjs';
import { EMBEDDED_MODEL, inspectModel } from '../../lib/index.ts';
import { writeSafetensors } from '../support/safetensors.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import { diffuse, start } from './command.ts';

const folder = join(temporaryFolder(), 'convert');
mkdirSync(folder);
const pathOf = (name: string): string => join(folder, name);

test('a model is converted and reported in one line', async () => {
  const output = pathOf('model.gguf');
  const args = ['convert', '-m', EMBEDDED_MODEL, '--type', 'q4_0', '-o', output];
  const { code, stdout, stderr } = await diffuse([...args, '--tensor-type-rules', 'attn1=q8_0,attn2=q8_0']);
  assert.deepEqual([code, stdout.toString()], [0, '']);
  assert.match(stderr, /^.*model\.gguf: 1\d\.\d MiB, 712 tensors \(.*\d+ q4_0, \d+ q8_0\), \d+\.\d\d s\n$/);
  const { components } = await inspectModel(output);
  assert.ok((components.find(({ kind }) => kind === 'unet')?.types.q4_0 ?? 0) > 50);
});

test('parts are merged, with results and progress as JSON', async () => {
  const output = pathOf('parts.safetensors');
  const parts = ['--diffusion-model', EMBEDDED_MODEL, '--clip_l', EMBEDDED_MODEL, '--vae', EMBEDDED_MODEL];
  const flags = ['--type', 'F16', '-t', '1', '--json', '--progress', 'json'];
  const { code, stdout, stderr } = await diffuse(['convert', ...parts, '-o', output, ...flags]);
  assert.equal(code, 0, stderr);
  const { files, types, bytes, timings } = JSON.parse(stdout.toString());
  assert.deepEqual([files, Object.keys(types), Object.keys(timings)], [[output], ['f16'], ['converting']]);
  const last = JSON.parse(stderr.trimEnd().split('\n').at(-1) as string);
  assert.deepEqual(Object.keys(last), ['stage', 'done', 'total', 'secondsLeft']);
  assert.equal(last.done, last.total);
  assert.equal((await inspectModel(output)).files[0]?.bytes, bytes);
});

test('--type and --tensor-type-rules convert while a model is loaded', async () => {
  const [file, image, expected] = [pathOf('loaded.gguf'), pathOf('loaded.png'), pathOf('expected.png')];
  const types = ['--type', 'Q4_0', '--tensor-type-rules', 'attn1=q8_0'];
  const generate = ['-p', 'a red apple', '--steps', '1', '-s', '3', '-t', '1'];
  for (const args of [
    [...generate, ...types, '-o', image],
    ['convert', '-m', EMBEDDED_MODEL, ...types, '-o', file],
    [...generate, '-m', file, '-o', expected],
  ]) {
    const { code, stderr } = await diffuse(args);
    assert.equal(code, 0, stderr);
  }
  const [loaded, converted] = [image, expected].map((path) => PNG.sync.read(readFileSync(path)).data);
  assert.deepEqual(loaded, converted);
  const wrong = await diffuse([...generate, '--type', 'q9', '-o', image]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /one of f32, f16, .* for --type but received 'q9'/);
});

test('all problems are reported together, by flags', async () => {
  const { code, stderr } = await diffuse(['convert', 'a.safetensors', '--type', 'q9', '-o', 'a.png', '-t', '0']);
  assert.equal(code, 2);
  assert.match(stderr, /one of f32, f16, .* for --type but received 'q9'/);
  assert.match(stderr, /ends in \.gguf or \.safetensors for --output but received 'a\.png'/);
  assert.match(stderr, /for --threads but received 0/);
  const nothing = await diffuse(['convert']);
  assert.equal(nothing.code, 2);
  assert.match(nothing.stderr, /Expected a model after diffuse convert, .*Expected --output/s);
});

test('a conversion that fails has the exit code 1 and leaves nothing', async () => {
  writeFileSync(pathOf('broken.safetensors'), 'no weights');
  const { code, stderr } = await diffuse(['convert', pathOf('broken.safetensors'), '-o', pathOf('broken.gguf')]);
  assert.equal(code, 1);
  assert.match(stderr, /^diffuse: '.*broken\.safetensors'/);
  assert.ok(!readdirSync(folder).includes('broken.gguf'));
});

test('what cannot be converted, or written, is refused and leaves everything as it was', {
  skip: process.platform === 'win32',
}, async () => {
  const place = pathOf('refused');
  mkdirSync(join(place, 'folder.gguf'), { recursive: true });
  copyFileSync(tinyModel().path, join(place, 'model.safetensors'));
  symlinkSync('model.safetensors', join(place, 'link.safetensors'));
  linkSync(join(place, 'model.safetensors'), join(place, 'hard.safetensors'));
  copyFileSync(join(place, 'model.safetensors'), join(place, 'cut.safetensors'));
  truncateSync(join(place, 'cut.safetensors'), 100_000);
  const contents = () => readdirSync(place).map((name) => [name, statSync(join(place, name)).size]);
  const before = contents();
  const model = readFileSync(join(place, 'model.safetensors'));
  const cases: [source: string, output: string, type: string, code: number, message: RegExp][] = [
    ['model.safetensors', 'a.gguf', 'q9_0', 2, /Expected one of f32, .* for --type but received 'q9_0'/],
    ['model.safetensors', 'model.safetensors', 'f16', 1, /Expected an output file other than the source files/],
    ['model.safetensors', 'link.safetensors', 'f16', 1, /Expected an output file other than the source files/],
    ['model.safetensors', 'hard.safetensors', 'f16', 1, /Expected an output file other than the source files/],
    ['model.safetensors', 'none/a.gguf', 'f16', 1, /the folder 'none' does not exist/],
    ['model.safetensors', 'folder.gguf', 'f16', 1, /'folder.gguf' is a folder/],
    ['cut.safetensors', 'a.gguf', 'f16', 1, /cut\.safetensors/],
    ['none.safetensors', 'a.gguf', 'f16', 1, /none\.safetensors/],
  ];
  for (const [source, output, type, code, message] of cases) {
    const finished = await diffuse(['convert', '-m', source, '-o', output, '--type', type], place);
    assert.equal(finished.code, code, `${source} to ${output}: ${finished.stderr}`);
    assert.match(finished.stderr, message);
    assert.deepEqual(contents(), before, `${source} to ${output}`);
  }
  assert.deepEqual(readFileSync(join(place, 'model.safetensors')), model);
});

test('an interrupted conversion leaves nothing', { skip: process.platform === 'win32' }, async () => {
  const shape = [4096, 4096];
  const values = new Float32Array(4096 * 4096).fill(0.1);
  const tensors = ['a.weight', 'b.weight'].map((name) => ({ name, dtype: 'f32' as const, shape, values }));
  writeSafetensors(pathOf('large.safetensors'), tensors);
  const before = readdirSync(folder);
  const args = ['convert', pathOf('large.safetensors'), '--type', 'iq4_xs', '-o', pathOf('large.gguf')];
  const { child, finished } = start([...args, '-t', '1', '--progress', 'json']);
  child.stderr?.once('data', () => child.kill('SIGINT'));
  assert.equal((await finished).code, 130);
  assert.deepEqual(readdirSync(folder), before);
});
