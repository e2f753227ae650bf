// A model in parts on the command line: inspected together, and missing parts reported with their flags.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tinyModel } from '../support/tiny-model.ts';
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
