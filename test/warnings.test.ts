// What is worth telling and is no error: in the result of the run that it concerns, in the logger of the model, and on the command line.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadModel } from '../lib/index.ts';
import { diffuse } from './cli/command.ts';
import { soundModel } from './support/bad-models.ts';
import { temporaryFolder } from './support/tiny-model.ts';

const path = soundModel();
const composed = 'an apple AND a pear';
const about = /the word AND.*a word like others/;

test('a warning is in the result of its own run only, and the logger receives it once per run', async () => {
  const messages: string[] = [];
  await using model = await loadModel(path, { threads: 1, logger: { warn: (message) => messages.push(message) } });
  assert.deepEqual(messages, []);
  const generate = (prompt: string) => model.txt2img({ prompt, negativePrompt: prompt, steps: 1 });
  const [first, second, third] = await Promise.all([
    generate(composed),
    generate('sand and Andes'),
    generate(composed),
  ]);
  assert.match(first.warnings.join('\n'), about);
  assert.deepEqual([first.warnings.length, second.warnings], [1, []]);
  assert.deepEqual(third.warnings, first.warnings);
  assert.deepEqual(messages, [...first.warnings, ...first.warnings]);
});

test('what the logger throws at a warning rejects the run', async () => {
  const warn = () => {
    throw new Error('full');
  };
  await using model = await loadModel(path, { threads: 1, logger: { warn } });
  await assert.rejects(model.txt2img({ prompt: composed, steps: 1 }), /^Error: full$/);
  assert.deepEqual((await model.txt2img({ prompt: 'an apple', steps: 1 })).warnings, []);
});

test('the command line prints each warning once, whatever the flags, and --json has them', async () => {
  const flags = ['-m', path, '-p', composed, '--steps', '1', '-t', '1', '-b', '2', '--json'];
  const { code, stdout, stderr } = await diffuse(flags, temporaryFolder());
  assert.equal(code, 0);
  assert.match(stderr, new RegExp(`^warning: .*${about.source}\n$`));
  assert.equal(`warning: ${JSON.parse(stdout.toString()).warnings.join('\n')}\n`, stderr);
});
