// Embeddings of textual inversion from the command line: by the names of files in a folder, reported, and refused.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readMetadata } from '../../lib/index.ts';
import { soundModel } from '../support/bad-models.ts';
import { writeSafetensors } from '../support/safetensors.ts';
import { diffuse } from './command.ts';

const base = ['-m', soundModel(), '--steps', '1', '-W', '32', '-H', '32', '-s', '7', '-t', '1'];
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-embedding-'));
  for (const [name, width] of [
    ['shiny', 64],
    ['wide', 768],
  ] as const) {
    const values = new Float32Array(2 * width).fill(0.1);
    const tensor = { name: 'emb_params', dtype: 'f32', shape: [2, width], values } as const;
    writeSafetensors(join(folder, `${name}.safetensors`), [{ ...tensor, shape: [...tensor.shape] }]);
  }
  await writeFile(join(folder, 'broken.pt'), 'x');
});
after(() => rm(folder, { recursive: true }));

test('--embd-dir is where the words of both prompts are looked for', async () => {
  const output = join(folder, 'out.png');
  const flags = ['-p', 'an apple', '-n', 'Shiny', '--embd-dir', folder, '-o', output, '--json'];
  const { code, stdout, stderr } = await diffuse([...base, ...flags]);
  assert.deepEqual([code, stderr], [0, '']);
  const path = join(folder, 'shiny.safetensors');
  assert.deepEqual(JSON.parse(stdout.toString()).embeddings, [{ token: 'shiny', path, vectors: 2 }]);
  assert.equal((await readMetadata(output)).fields.Embeddings, 'shiny (shiny.safetensors)');
});

for (const [what, prompt, directory, message] of [
  ['an embedding of another width', 'wide', '.', /vectors of 64 values .* found 768/],
  ['a broken one', 'broken', '.', /broken\.pt/],
  ['a folder that is not there', 'x', 'nowhere', /Expected the embedding folder at '.*nowhere'/],
] as const) {
  test(`${what} is refused`, async () => {
    const output = join(folder, 'refused.png');
    const finished = await diffuse([...base, '-p', prompt, '--embd-dir', join(folder, directory), '-o', output]);
    assert.match(finished.stderr, message);
    assert.equal(finished.code, 1);
    assert.ok(!(await readdir(folder)).includes('refused.png'));
  });
}
