// A model in parts on the command line: inspected together, and missing parts reported with their flags.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import { tinyZImage } from '../support/tiny-z-image.ts';
import { diffuse } from './command.ts';

const part = (prefix: string) =>
  tinyModel({ vocabulary: 49408, edit: (tensors) => tensors.filter(({ name }) => name.startsWith(prefix)) }).path;
const unet = part('model.diffusion_model.');
const vae = part('first_stage_model.');
const clip = part('cond_stage_model.');

test('inspect takes the parts of a model together and says by which flags the others are given', async () => {
  const [some, all, same] = await Promise.all([
    diffuse(['inspect', '--diffusion-model', unet, '--vae', vae]),
    diffuse(['inspect', '--diffusion-model', unet, '--vae', vae, '--clip_l', clip, '--json']),
    diffuse(['inspect', unet, '--vae', vae]),
  ]);
  assert.equal(some.code, 0);
  assert.match(some.stdout.toString(), /^family +sd1$/m);
  assert.match(some.stdout.toString(), /^text_encoder +missing: use --clip_l or --model$/m);
  assert.deepEqual(same, some);
  const { components, absent } = JSON.parse(all.stdout.toString());
  assert.deepEqual([components.length, absent], [3, []]);
});

test('generating with missing parts is an error that names their flags', async () => {
  const { code, stderr } = await diffuse(['-p', 'x', '--diffusion-model', unet]);
  assert.equal(code, 1);
  assert.match(stderr, /the text encoder \(--clip_l\), the VAE \(--vae\) are missing/);
});

test('inspect takes one model', async () => {
  const { code, stderr } = await diffuse(['inspect', unet, '-m', vae]);
  assert.deepEqual([code, stderr], [2, 'diffuse: Expected one model but received --model, too\n']);
});

test('Z-Image is drawn from three files and a prompt alone, and again from its image', async () => {
  const { denoiser, language, vae: decoder } = tinyZImage();
  const parts = ['-m', denoiser, '--llm', language, '--vae', decoder];
  const output = (name: string) => join(temporaryFolder(), name);
  const sized = ['-W', '32', '-H', '48', '--threads', '1'];
  const first = await diffuse([...parts, '-p', 'a red apple', ...sized, '-o', output('z-image.png')]);
  assert.equal(first.code, 0, first.stderr);
  const again = await diffuse([...parts, '--from', output('z-image.png'), '-o', output('z-image-again.png')]);
  assert.equal(again.code, 0, again.stderr);
  const metadata = await diffuse(['metadata', output('z-image-again.png')]);
  assert.match(metadata.stdout.toString(), /Steps: 8, Sampler: Euler, .*CFG scale: 1,/);
  const missing = await diffuse(['-m', denoiser, '-p', 'x']);
  assert.match(missing.stderr, /the language model \(--llm\), the VAE \(--vae\) are missing/);
});
