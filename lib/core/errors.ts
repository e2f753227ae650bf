// The error classes of the package: every failure has a stable `code` that callers can match on.

/** Codes of {@link DiffusionError}: what failed, in terms a program can act on. */
export type DiffusionErrorCode =
  /** The file cannot be opened or read (missing, a directory or a pipe, no permission), or was changed while in use. */
  | 'ERR_FILE'
  /** The file contradicts itself or is truncated. */
  | 'ERR_MODEL_CORRUPT'
  /** The file is valid, but not a model that this package supports. */
  | 'ERR_MODEL_UNSUPPORTED'
  /** A tensor or a component that the model needs is missing. */
  | 'ERR_MODEL_INCOMPLETE'
  /** A tensor's shape or type does not match its place in the network. */
  | 'ERR_MODEL_MISMATCH'
  /** Not enough memory for weights or for an evaluation. */
  | 'ERR_OUT_OF_MEMORY'
  /** The device is unknown, absent, or failed while computing. */
  | 'ERR_DEVICE'
  /** A network returned NaN or infinity. */
  | 'ERR_NON_FINITE'
  /** The model was disposed before or during the call. */
  | 'ERR_DISPOSED'
  /** The native addon could not be loaded. */
  | 'ERR_BINARY'
  /** An image file cannot be decoded, or has no metadata where some is required. */
  | 'ERR_IMAGE'
  /** A required optional package is not installed, or does not load. */
  | 'ERR_MISSING_PACKAGE'
  /** A result could not be written. */
  | 'ERR_WRITE'
  /** A server cannot listen on its address. */
  | 'ERR_LISTEN';

/** Base class of all failures other than misused arguments. */
export class DiffusionError extends Error {
  /** Stable machine-readable reason. */
  readonly code: DiffusionErrorCode;

  constructor(code: DiffusionErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DiffusionError';
    this.code = code;
  }
}

/** Codes of the `TypeError` and `RangeError` thrown for misused arguments. */
export type ArgumentErrorCode = 'ERR_INVALID_ARG_TYPE' | 'ERR_INVALID_ARG_VALUE' | 'ERR_UNKNOWN_OPTION';

/** One problem with the arguments of a call. */
export interface ArgumentProblem {
  /** Name of the option, as the caller wrote it. */
  readonly name: string;
  /** What would have been valid. */
  readonly expected: string;
  /** The value received, in short. */
  readonly received: string;
  /** What to do about it, if `expected` does not make that obvious. */
  readonly remedy?: string;
  readonly code: ArgumentErrorCode;
}

/** A `TypeError` or `RangeError` for misused arguments, with all problems of the call in `problems`. */
export interface ArgumentError extends Error {
  readonly code: ArgumentErrorCode;
  readonly problems: readonly ArgumentProblem[];
}

/** Maximum number of characters of user input in a message. */
export const LONGEST_QUOTE = 60;

/** Characters that a terminal would interpret or not show: control characters, line ends, direction marks. */
const UNSHOWN = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** A text in quotes, on one line, truncated to `most` UTF-16 units. */
export function quote(text: string, most = 100): string {
  const short = text.length > most ? `${text.slice(0, most)}...` : text;
  return `'${short.replace(UNSHOWN, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}'`;
}

/** Formats any value, short enough for an error message. Never traverses the value and never throws. */
export function describe(value: unknown): string {
  if (typeof value === 'string') {
    return value.length > LONGEST_QUOTE ? `a string of ${value.length} characters` : quote(value);
  }
  // Formatting all digits of a large one takes seconds.
  if (typeof value === 'bigint') {
    const fits = BigInt.asIntN(64, value) === value || BigInt.asUintN(64, value) === value;
    return fits ? `${value}n` : 'a bigint of over 64 bits';
  }
  if (typeof value === 'symbol') return nameOf(value.description) ? String(value) : 'a symbol';
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return String(value);
  try {
    return describeObject(value);
  } catch {
    return typeof value === 'function' ? 'a function' : 'an object';
  }
}

function describeObject(value: object): string {
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'function') return `a function${nameOf(value.name) ? ` (${value.name})` : ''}`;
  const name = nameOf((value.constructor as { name?: unknown } | undefined)?.name);
  return name && name !== 'Object' ? `${/^[AEIO]/.test(name) ? 'an' : 'a'} ${name}` : 'an object';
}

function nameOf(name: unknown): string | undefined {
  return typeof name === 'string' && name.length <= LONGEST_QUOTE ? name : undefined;
}

/** Maximum number of problems in a message. */
const MOST_LINES = 32;

/**
 * Builds the one error that reports all problems of a call. It is a `TypeError` if any problem is a wrong type or an
 * unknown option, and a `RangeError` otherwise; its `code` is that of the first problem of the deciding type.
 */
export function argumentError(problems: readonly ArgumentProblem[]): ArgumentError {
  const deciding = problems.find((p) => p.code !== 'ERR_INVALID_ARG_VALUE') ?? problems[0];
  if (!deciding) throw new Error('argumentError needs at least one problem');
  const lines = problems
    .slice(0, MOST_LINES)
    .map((p) => `Expected ${p.expected} for ${p.name} but received ${p.received}${p.remedy ? `. ${p.remedy}` : ''}`);
  if (problems.length > MOST_LINES) lines.push(`and ${problems.length - MOST_LINES} more, which are in \`problems\``);
  const message = problems.length === 1 ? `${lines[0]}` : `${problems.length} problems:\n- ${lines.join('\n- ')}`;
  const Class = deciding.code === 'ERR_INVALID_ARG_VALUE' ? RangeError : TypeError;
  return Object.assign(new Class(message), { code: deciding.code, problems });
}

/** Whether {@link argumentError} created an error. */
export function isArgumentError(error: unknown): error is ArgumentError {
  return error instanceof Error && Array.isArray((error as Partial<ArgumentError>).problems);
}

/** From this length on, the beginning of a word identifies it. */
const MIN_BEGINNING = 3;

/** The known word that `word` begins or is nearest to by edit distance, or undefined if none is near enough. */
export function closest(word: string, known: readonly string[]): string | undefined {
  if (word.length > LONGEST_QUOTE) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  if (bestDistance <= 1 || word.length < MIN_BEGINNING) return best;
  return known.find((candidate) => candidate.toLowerCase().startsWith(word.toLowerCase())) ?? best;
}

function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 32) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
