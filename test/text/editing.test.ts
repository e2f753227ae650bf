// Prompt editing and alternation against AUTOMATIC1111's parser. Goldens: test/reference/editing.py.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { schedulePrompt, stageAt } from '../../lib/text/editing.ts';
import { golden } from '../support/golden.ts';

const pairs = (prompt: string, steps: number) => schedulePrompt(prompt, steps).map(({ text, until }) => [until, text]);

test('prompts change as in AUTOMATIC1111', () => {
  for (const [prompt, steps, expected] of golden<[string, number, [number, string][]][]>('editing.json')) {
    assert.deepEqual(pairs(prompt, steps), expected, `${JSON.stringify(prompt)} in ${steps} steps`);
  }
});

test('a stage holds up to and with the evaluation that it ends with, counted from 0', () => {
  const textsOf = (prompt: string) => Array.from({ length: 6 }, (_, i) => stageAt(schedulePrompt(prompt, 6), i).text);
  assert.deepEqual(textsOf('[a:b:2]'), ['a', 'a', 'a', 'b', 'b', 'b']);
  assert.deepEqual(textsOf('[a|b|]'), ['a', 'a', 'b', '', 'a', 'b']);
  assert.deepEqual(textsOf('cat'), Array(6).fill('cat'));
});

test('a number past all floats is a step that never comes', () => {
  assert.deepEqual(pairs(`[a:b:${'9'.repeat(400)}]`, 10), [[10, 'a']]);
  assert.deepEqual(pairs('[a:b:-1e999]', 10), [[10, 'b']]);
});

test('any text has stages that end where they should, and a plain one is its own only stage', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a[\]():|\\3. \n]{0,40}$/), fc.integer({ min: 1, max: 12 }), (prompt, steps) => {
      const stages = schedulePrompt(prompt, steps);
      assert.equal(stages.at(-1)?.until, steps);
      for (const [i, { until }] of stages.entries()) assert.ok(until > (stages[i - 1]?.until ?? 0));
      if (!/[[\]]/.test(prompt)) assert.deepEqual(stages, [{ text: prompt, until: steps }]);
    }),
    { numRuns: 2000 },
  );
});

const LONG: [name: string, prompt: string, stages: number][] = [
  ['65,536 opening brackets', '['.repeat(65_536), 1],
  ['65,536 closing brackets', ']'.repeat(65_536), 1],
  ['32,768 nested brackets', `${'['.repeat(32_768)}${']'.repeat(32_768)}`, 1],
  ['8,192 nested edits', `${'['.repeat(8192)}a${':3]'.repeat(8192)}`, 2],
  ['8,192 nested edits that never close', `${'[a:b:3]'.repeat(8192)}${'['.repeat(8192)}`, 2],
  ['10,000 alternations', '[a|b]'.repeat(10_000), 1000],
  ['65,536 colons', ':'.repeat(65_536), 1],
  ['nested alternations', `${'[a|'.repeat(8192)}${']'.repeat(8192)}`, 1000],
  ['spaces before a number', `[a:b:${' '.repeat(60_000)}x]`, 1],
  ['digits', `[a:b:${'1'.repeat(60_000)}]`, 1],
  ['backslashes', '\\'.repeat(65_536), 1],
];
for (const [name, prompt, stages] of LONG) {
  test(`a hostile prompt takes a moment: ${name}`, () => {
    const before = process.cpuUsage();
    assert.equal(schedulePrompt(prompt, 1000).length, stages);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 1e6, `${(user + system) / 1e6} s of processor time`);
  });
}

const words = (count: number) => Array.from({ length: count }, (_, i) => `word${i}`).join('|');
const REFUSED: [name: string, prompt: string][] = [
  ['100 long stages', `${'x '.repeat(2000)}[${words(100)}]`],
  ['an alternation of 10,000 texts', `[${'a|'.repeat(10_000)}]`],
  ['65,535 bars', `[${'|'.repeat(65_534)}]`],
  ['alternations that never meet', `a cat in a hat, [${words(7)}][${words(11)}][${words(13)}], ${'fine '.repeat(20)}`],
];
for (const [name, prompt] of REFUSED) {
  test(`refused with a typed error: ${name}`, () => {
    assert.throws(() => schedulePrompt(prompt, 1000, 'negativePrompt'), {
      name: 'RangeError',
      code: 'ERR_INVALID_ARG_VALUE',
      message: /at most 262144 characters.* for negativePrompt/,
    });
  });
}

test('a long prompt may have many steps and few stages', () => {
  assert.equal(schedulePrompt(`${'x '.repeat(2000)}[${words(50)}]`, 1000).length, 1000);
});
