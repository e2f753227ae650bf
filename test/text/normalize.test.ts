// Normalization form C of any text, and of long runs of combining marks in little time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { normalize } from '../../lib/text/normalize.ts';

/** All marks of this version of Unicode. */
const MARKS = Array.from({ length: 0x110000 }, (_, code) => code)
  .filter((code) => code < 0xd800 || code > 0xdfff)
  .map((code) => String.fromCodePoint(code))
  .filter((character) => /\p{M}/u.test(character));

test('runs of every combining mark are normalized as JavaScript does it', () => {
  const mark = fc.constantFrom(...MARKS);
  // Marks of a few classes, so that many meet their like.
  const few = fc.constantFrom(...'\u0301\u0316\u0323\u0327\u0345\u0334\u0344\u0f71\u0f72\u0f73\u034f\u0903\u3099');
  const base = fc.constantFrom('', 'a', 'é', 'Ω', '각', '\u1100\u1161', '😀');
  const run = fc.array(fc.oneof(few, few, mark), { minLength: 0, maxLength: 200 });
  const text = fc.array(fc.tuple(base, run), { maxLength: 3 }).map((parts) => parts.flat(2).join(''));
  fc.assert(
    fc.property(text, (one) => assert.equal(normalize(one), one.normalize('NFC'))),
    { numRuns: 1000 },
  );
});

test('every mark finds its place among others', () => {
  for (const [i, mark] of MARKS.entries()) {
    const run = Array.from({ length: 40 }, (_, k) => MARKS[(i * 7 + k * 61) % MARKS.length]).join('');
    const text = `a${run.slice(0, 30)}${mark}${run}`;
    assert.equal(normalize(text), text.normalize('NFC'), `U+${mark.codePointAt(0)?.toString(16)}`);
  }
});

test('a quarter of a million marks out of order take no more than their number in time', () => {
  const started = performance.now();
  for (const marks of ['\u0301\u0323', '\u0301\u0316\u0327\u0334', '\u0f73\u0f72\u0f71']) {
    const text = `e${marks.repeat(2 ** 18 / marks.length)}`;
    // As each text holds the same marks again and again, a short one of them says what comes out.
    assert.equal(normalize(text).length, normalize(text).normalize('NFC').length);
  }
  assert.ok(performance.now() - started < 10_000);
});
