// Prompt editing and alternation: from `a [cat:dog:0.5]` to the texts that apply in turn while an image is generated.
import { argumentError } from '../core/errors.ts';

/** One of the texts of a prompt, and how long it applies. */
export interface PromptStage {
  /** May still contain attention syntax, see `parseAttention`. */
  readonly text: string;
  /**
   * Number of the last evaluation that it applies to, counted from 0; the first stage that reaches an evaluation
   * applies.
   */
  readonly until: number;
}

/** The maximum number of characters for the different stages of a prompt, so that hostile prompts cost little. */
const MAX_LENGTH = 2 ** 18;

/** Runs of text with escapes, and the syntax characters. A backslash before a line break or at the end is neither. */
const TOKENS = /(?:[^\\[\]():|]|\\[^\n])+|[[\]():|]/gu;
const WHEN = /^\p{White_Space}*([+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)\p{White_Space}*$/u;

/**
 * Reads the prompt editing syntax of AUTOMATIC1111's web UI:
 *
 * - `[from:to:when]` is `from` at first and `to` later, `[to:when]` nothing at first, `[from::when]` nothing later;
 * - `when` with a decimal point is a fraction of the steps (`0.5`, and `1.0` is the end), otherwise a number of steps
 *   (`5`); it is rounded down;
 * - `[a|b|c]` uses the next of its texts in each step, and the first again after the last; a text may be empty;
 * - all of them nest, also in `(brackets:1.2)`; a backslash escapes the character after it.
 *
 * As in the web UI, a bracket that fits none of these (`[a:b:c:3]`, `[a:b]`, one that is never closed, one that
 * contains such a bracket) is text, including its content; and a `|` outside an alternation, or a backslash at the end
 * of a line, turns the whole prompt into text. What text then means is up to `parseAttention`: `[word]` still weighs
 * less.
 *
 * @param steps number of evaluations. Samplers that evaluate twice per step have twice as many, and count in them.
 * @param name the option that `prompt` was given as, for error messages
 * @returns the stages in order, neighbors with different texts, the last until `steps`
 * @throws RangeError `ERR_INVALID_ARG_VALUE` if its length times the number of its different stages exceeds 262,144
 */
export function schedulePrompt(prompt: string, steps: number, name = 'prompt'): PromptStage[] {
  const { tokens, jumps, whens, period } = parse(prompt, steps);
  const ends = period > 1 ? Array.from({ length: steps }, (_, i) => i + 1) : whens;
  const stages: PromptStage[] = [];
  const texts = new Map<number, string>();
  let passed = 0;
  for (const until of ends) {
    while ((whens[passed] as number) < until) passed++;
    // Between two edits, alternations repeat.
    const key = passed * period + ((until - 1) % period);
    const text = texts.get(key) ?? textAt(tokens, jumps, until);
    texts.set(key, text);
    if (texts.size * prompt.length > MAX_LENGTH) throw tooLong(name);
    if (stages.at(-1)?.text === text) stages.pop();
    stages.push({ text, until });
  }
  return stages;
}

/** The stage that applies to an evaluation, counted from 0. */
export function stageAt<T extends { readonly until: number }>(stages: readonly T[], evaluation: number): T {
  return stages.find(({ until }) => evaluation <= until) ?? (stages.at(-1) as T);
}

/** Where to continue, in the stage that ends with an evaluation. */
type Jump = (until: number) => number;

/** A prompt as tokens to be read in order, except for jumps to where reading continues. */
interface Program {
  readonly tokens: readonly string[];
  /** By the index of such a token. */
  readonly jumps: readonly (Jump | undefined)[];
  /** The last evaluations before edits take place, ascending, and the last of all. */
  readonly whens: readonly number[];
  /**
   * The number of steps after which all alternations are back at their first texts; 1 if there are none, at most all
   * steps.
   */
  readonly period: number;
}

function textAt(tokens: Program['tokens'], jumps: Program['jumps'], until: number): string {
  let text = '';
  for (let i = 0; i < tokens.length; ) {
    const jump = jumps[i];
    if (jump) i = jump(until);
    else text += tokens[i++];
  }
  return text;
}

/** An open bracket: its index, and those of the `:` and `|` in it so far. */
interface Open {
  readonly place: number;
  readonly colons: number[];
  readonly bars: number[];
}

/** Matches brackets in one pass. What is not valid syntax stays text, as does everything open around it. */
function parse(prompt: string, steps: number): Program {
  const literal: Program = { tokens: [prompt], jumps: [], whens: [steps], period: 1 };
  const tokens = prompt.match(TOKENS) ?? [];
  if (tokens.reduce((length, token) => length + token.length, 0) !== prompt.length) return literal;
  const jumps = new Array<Jump | undefined>(tokens.length);
  const whens = new Set([steps]);
  let period = 1;
  let open: Open[] = [];
  for (const [place, token] of tokens.entries()) {
    const inner = open.at(-1);
    if (token === '(' || token === '[') open.push({ place, colons: [], bars: [] });
    else if (token === ':') inner?.colons.push(place);
    else if (token === '|') {
      if (!inner || tokens[inner.place] === '(') return literal;
      inner.bars.push(place);
    } else if (token === ')' || token === ']') {
      const structure = inner && close(tokens, inner, place, steps);
      if (structure) {
        open.pop();
        for (const [at, jump] of structure.jumps) jumps[at] = jump;
        if (structure.when !== undefined) whens.add(structure.when);
        period = Math.min(leastCommonMultiple(period, inner.bars.length + 1), steps);
      } else {
        if (open.some(({ bars }) => bars.length > 0)) return literal;
        open = [];
      }
    }
  }
  if (open.some(({ bars }) => bars.length > 0)) return literal;
  return { tokens, jumps, whens: [...whens].sort((a, b) => a - b), period };
}

/** A pair of brackets with a meaning: what it jumps over, and the last evaluation before it changes. */
interface Structure {
  readonly jumps: readonly (readonly [place: number, jump: Jump])[];
  readonly when?: number;
}

/** The meaning of the open bracket when closed at `end`; undefined if it has none. */
function close(
  tokens: readonly string[],
  { place, colons, bars }: Open,
  end: number,
  steps: number,
): Structure | undefined {
  const toEnd = (from: number) => [from, () => end + 1] as const;
  if (tokens[place] === '(') return tokens[end] === ')' && colons.length <= 1 ? { jumps: [] } : undefined;
  if (tokens[end] !== ']' || (colons.length > 0 && bars.length > 0)) return undefined;
  if (bars.length > 0) {
    const starts = [place, ...bars].map((at) => at + 1);
    const choose = (until: number) => starts[(until - 1) % starts.length] as number;
    return { jumps: [[place, choose], ...[...bars, end].map(toEnd)] };
  }
  if (colons.length === 0) return { jumps: [] };
  const last = colons.at(-1) as number;
  const digits = last === end - 2 ? WHEN.exec(tokens[end - 1] as string)?.[1] : undefined;
  if (digits === undefined || colons.length > 2) return undefined;
  const when = Math.min(steps, Math.trunc(Number(digits) * (digits.includes('.') ? steps : 1)));
  const [from, to] = colons.length === 2 ? [place + 1, (colons[0] as number) + 1] : [end + 1, place + 1];
  const choose = (until: number) => (until <= when ? from : to);
  return { jumps: [[place, choose], ...colons.map(toEnd)], ...(when >= 1 ? { when } : {}) };
}

function leastCommonMultiple(a: number, b: number): number {
  let [divisor, rest] = [a, b];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return (a / divisor) * b;
}

function tooLong(name: string): Error {
  const expected = `at most ${MAX_LENGTH} characters, counted once for each stage that edits and alternations make of it,`;
  const remedy = 'Shorten it, or write \\[ \\] \\| for literal brackets and bars';
  return argumentError([{ name, expected, received: 'more', remedy, code: 'ERR_INVALID_ARG_VALUE' }]);
}
