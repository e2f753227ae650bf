// LoRAs from the command line: by name in a folder, reported, and refused in the words of the flags.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadModel, readMetadata } from '../../lib/index.ts';
import { soundModel } from '../support/bad-models.ts';
import { writeSafetensors } from '../support/safetensors.ts';
import { diffuse } from './command.ts';

const model = soundModel();
const base = ['-m', model, '--steps', '2', '-s', '7', '-t', '1'];
let folder: string;
let lora: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-lora-'));
  lora = join(folder, 'stripes.safetensors');
  const layer = 'lora_unet_mid_block_attentions_0_proj_in';
  const shapes = { up: [64, 1], down: [1, 64] };
  writeSafetensors(
    lora,
    Object.entries(shapes).map(([part, shape]) => {
      const values = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
      return { name: `${layer}.lora_${part}.weight`, dtype: 'f32' as const, shape, values };
    }),
  );
});
after(() => rm(folder, { recursive: true }));

test('--lora-model-dir is where the names in a prompt are looked for', async () => {
  const output = join(folder, 'out.png');
  const prompt = 'a red apple <lora:stripes:0.7>';
  const flags = ['-p', prompt, '--lora-model-dir', folder, '-o', output, '--json'];
  const { code, stdout, stderr } = await diffuse([...base, ...flags]);
  assert.deepEqual([code, stderr], [0, '']);
  assert.deepEqual(JSON.parse(stdout.toString()).loras, [{ path: lora, weight: 0.7, applied: 2, tensors: 2 }]);
  const metadata = await readMetadata(output);
  assert.equal(metadata.prompt, prompt);
  assert.equal(metadata.fields.Loras, 'stripes.safetensors: 0.7 (2 of 2 tensors)');
  await using opened = await loadModel(model, { threads: 1 });
  const { images } = await opened.txt2img({ prompt, loraDirectory: folder, steps: 2, seed: 7 });
  assert.deepEqual(await readFile(output), Buffer.from((await images[0]?.png()) as Uint8Array));
});

test('the prompt of an image that is reproduced can only use the folder of LoRAs, a given prompt any path', async () => {
  const image = join(folder, 'made.png');
  const prompt = `a red apple <lora:${lora}:0.7>`;
  assert.equal((await diffuse([...base, '-p', prompt, '-o', image])).code, 0);
  const again = [...base, '--from', image, '-o', join(folder, 'again.png')];
  const without = await diffuse(again);
  assert.match(without.stderr, /the folder of the LoRAs named in the prompt for --lora-model-dir/);
  assert.equal(without.code, 2);
  const inFolder = await diffuse([...again, '--lora-model-dir', folder]);
  assert.match(inFolder.stderr, /Expected the name of a LoRA in the LoRA folder/);
  assert.equal(inFolder.code, 1);
  assert.equal((await diffuse([...again, '-p', prompt])).code, 0);
});

for (const [what, flags, code, message] of [
  ['a name that is nowhere', ['-p', '<lora:dots:1>', '--lora-model-dir'], 1, /Expected a LoRA at '.*dots' or/],
  ['a malformed tag', ['-p', '<lora:stripes:very>', '--lora-model-dir'], 2, /<lora:name:weight>.* for --prompt/],
  ['a tag in the negative prompt', ['-p', 'x', '-n', '<lora:stripes:1>', '--lora-model-dir'], 2, /--negative-prompt/],
] as const) {
  test(`${what} is refused`, async () => {
    const output = join(folder, 'refused.png');
    const finished = await diffuse([...base, ...flags, folder, '-o', output]);
    assert.match(finished.stderr, message);
    assert.equal(finished.code, code);
    assert.ok(!(await readdir(folder)).includes('refused.png'));
  });
}
