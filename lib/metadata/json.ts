// JSON in images: objects whose integers stay exact, read as Python writes them.

/** An object of a JSON text. Its prototype is that of every object: ask for own keys by {@link own}. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Integers from this length on may be beyond what a number holds. */
const LONG_INTEGER = 16;

/** Whether a text looks like a JSON object, intact or not. */
export function looksLikeJson(text: string): boolean {
  return /^\s*\{\s*("|\}\s*$)/.test(text);
}

/**
 * The object that a text is. Integers of 16 digits and more are strings in it, and the NaN and Infinity that Python
 * writes are null.
 *
 * @returns undefined where it is none.
 */
export function parseObject(text: string): JsonObject | undefined {
  if (!looksLikeJson(text)) return undefined;
  try {
    return asObject(JSON.parse(withExactNumbers(text)));
  } catch {
    return undefined;
  }
}

export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

/** A value of an object itself, undefined where it has none of that name. */
export function own(object: JsonObject | undefined, key: string): unknown {
  return object !== undefined && Object.hasOwn(object, key) ? object[key] : undefined;
}

/**
 * The text, number or truth value of that name. An object is described in words instead, as it may have members that
 * make a text of it fail; null is undefined.
 */
export function scalar(object: JsonObject | undefined, key: string): string | number | boolean | undefined {
  const value = own(object, key);
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  return value === undefined || value === null ? undefined : 'a list or an object';
}

/** The texts, numbers and truth values of an object, as text. */
export function scalarsOf(object: JsonObject): Record<string, string> {
  const entries = Object.entries(object).filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value));
  return Object.fromEntries(entries.map(([key, value]) => [key, String(value)]));
}

/** One pass over the text outside its strings. */
function withExactNumbers(text: string): string {
  const token = /-?(?:Infinity|NaN|\d[\d.eE+-]*)/y;
  const parts: string[] = [];
  let copied = 0;
  for (let i = 0; i < text.length; ) {
    if (text[i] === '"') {
      i = endOfString(text, i);
      continue;
    }
    token.lastIndex = i;
    const word = token.exec(text)?.[0];
    const exact = word === undefined ? undefined : exactly(word);
    if (exact !== undefined) {
      parts.push(text.slice(copied, i), exact);
      copied = i + (word as string).length;
    }
    i += word?.length ?? 1;
  }
  return parts.join('') + text.slice(copied);
}

/** What to write for a number, undefined to leave it. */
function exactly(word: string): string | undefined {
  if (/[NI]/.test(word)) return 'null';
  return word.length >= LONG_INTEGER && /^-?\d+$/.test(word) ? `"${word}"` : undefined;
}

function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return i + 1;
}
