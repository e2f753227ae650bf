// The attention syntax of prompts: from `a (red:1.3) cube` to texts with weights.
import { argumentError, describe } from '../core/errors.ts';

/** A part of a prompt, and the weight of its tokens: 1 is neutral. */
export interface WeightedText {
  readonly text: string;
  readonly weight: number;
}

const ROUND_WEIGHT = 1.1;
const SQUARE_WEIGHT = 1 / 1.1;
/**
 * The maximum number of brackets open at a time. Their weights multiply, so at this depth they mean nothing (1.1^256 is
 * 4e10); and the work on a prompt stays proportional to its length.
 */
const MAX_OPEN = 256;

/** Escapes, brackets, `:weight)` and the text between them. */
const SYNTAX = /\\[()[\]\\]|\\|:\s*([+-]?[.\d]+)\s*\)|[()[\]]|[^\\()[\]:]+|:/g;
const BREAK = /(?<![\p{L}\p{N}_])BREAK(?![\p{L}\p{N}_])/u;

/** Parts of a prompt and their weights, which are scaled repeatedly and so have their own array. */
interface Pieces {
  /** Undefined for a `BREAK`. */
  readonly texts: (string | undefined)[];
  readonly weights: number[];
}

/**
 * Reads the attention syntax of AUTOMATIC1111's web UI:
 *
 * - `(text)` multiplies the weight of `text` by 1.1, `[text]` divides it by 1.1, `(text:1.3)` multiplies it by 1.3 (the
 *   number may have a sign and white space around it); brackets nest, and may cross;
 * - an opening bracket that is never closed extends to the end of the prompt; a closing one without its opening is
 *   text;
 * - `\(`, `\)`, `\[`, `\]` and `\\` are the characters themselves, and any other backslash is dropped;
 * - the word `BREAK` in capitals ends a section.
 *
 * Neighbors of equal weight are joined. Differences from the web UI: a `BREAK` inside brackets works (there it becomes
 * the word "break" with a negative weight). Differences from stable-diffusion.cpp, which otherwise agrees: it only
 * knows the escape `\(` and keeps the backslash of the others, allows no white space around a weight, drops a `:1.3)`
 * that closes nothing, and finds a `BREAK` at the end of a longer word.
 *
 * @param prompt any text
 * @param name the option that `prompt` was given as, for error messages
 * @returns the sections between the `BREAK`s, at least one, each with its texts in order; empty texts are omitted
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for a malformed weight, more than 256 brackets open at a time, or a
 *   product of weights beyond the range of a 32-bit float
 */
export function parseAttention(prompt: string, name = 'prompt'): WeightedText[][] {
  const pieces: Pieces = { texts: [], weights: [] };
  const { texts, weights } = pieces;
  const round: number[] = [];
  const square: number[] = [];
  // Whether what comes next is in the same brackets as the last piece.
  let goesOn = false;
  const scaleFrom = (start: number, factor: number) => {
    for (let i = start; i < weights.length; i++) weights[i] = (weights[i] as number) * factor;
    goesOn = false;
  };
  const add = (text: string | undefined) => {
    const last = texts.length - 1;
    if (goesOn && text !== undefined && texts[last] !== undefined) texts[last] += text;
    else {
      texts.push(text);
      weights.push(1);
    }
    goesOn = true;
  };
  const open = (brackets: number[]) => {
    if (round.length + square.length === MAX_OPEN) throw tooDeep(name);
    brackets.push(texts.length);
    goesOn = false;
  };

  for (const [token, weight] of prompt.matchAll(SYNTAX)) {
    if (token === '(') open(round);
    else if (token === '[') open(square);
    else if (weight && round.length > 0) scaleFrom(round.pop() as number, parseWeight(weight, name));
    else if (token === ')' && round.length > 0) scaleFrom(round.pop() as number, ROUND_WEIGHT);
    else if (token === ']' && square.length > 0) scaleFrom(square.pop() as number, SQUARE_WEIGHT);
    else if (token.startsWith('\\')) add(token.slice(1));
    else addText(token, add);
  }
  for (const start of round) scaleFrom(start, ROUND_WEIGHT);
  for (const start of square) scaleFrom(start, SQUARE_WEIGHT);
  return joinEqual(pieces, name);
}

function addText(text: string, add: (text: string | undefined) => void): void {
  for (const [i, part] of text.split(BREAK).entries()) {
    if (i > 0) add(undefined);
    add(part);
  }
}

function joinEqual(pieces: Pieces, name: string): WeightedText[][] {
  const sections: { parts: string[]; weight: number }[][] = [[]];
  for (const [i, text] of pieces.texts.entries()) {
    const weight = pieces.weights[i] as number;
    const section = sections.at(-1) ?? [];
    const last = section.at(-1);
    if (text === undefined) sections.push([]);
    else if (last?.weight === weight) last.parts.push(text);
    else section.push({ parts: [text], weight });
  }
  const texts = sections.map((section) =>
    section.map(({ parts, weight }) => ({ text: parts.join(''), weight })).filter(({ text }) => text !== ''),
  );
  const overflow = texts.flat().find(({ weight }) => !Number.isFinite(Math.fround(weight)));
  if (overflow) {
    throw misuse(
      name,
      'attention weights whose product fits a 32-bit float',
      `${overflow.weight} for ${describe(overflow.text)}`,
    );
  }
  return texts;
}

function parseWeight(digits: string, name: string): number {
  const weight = Number(digits);
  if (!Number.isFinite(weight)) throw misuse(name, 'a number as attention weight', describe(digits));
  return weight;
}

function tooDeep(name: string): Error {
  return misuse(name, `at most ${MAX_OPEN} brackets open at a time`, 'more');
}

function misuse(name: string, expected: string, received: string): Error {
  const remedy = 'Write (text:1.3) for a weight, and \\( \\) \\[ \\] for literal brackets';
  return argumentError([{ name, expected, received, remedy, code: 'ERR_INVALID_ARG_VALUE' }]);
}
