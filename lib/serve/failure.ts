// Failures of requests, in terms that every API puts in its own form.

import { type ArgumentProblem, argumentError, DiffusionError, isArgumentError } from '../core/errors.ts';

/** What went wrong, as far as clients need to tell. */
export type FailureKind =
  | 'invalid'
  | 'unauthorized'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'gone'
  | 'too-large'
  | 'full'
  | 'cancelled'
  | 'internal'
  | 'unavailable';

/** The HTTP status of each kind. */
export const STATUS = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  gone: 410,
  'too-large': 413,
  full: 429,
  cancelled: 499,
  internal: 500,
  unavailable: 503,
} as const satisfies Record<FailureKind, number>;

/** Why a request failed. Holds no path of this machine. */
export interface Failure {
  readonly kind: FailureKind;
  /** Stable, machine-readable: an error code of this package, or `ERR_` and the kind. */
  readonly code: string;
  readonly message: string;
  /** The fields that are wrong, by their names in the API. */
  readonly problems: readonly ArgumentProblem[];
}

/** Ends the handling of a request with a failure. */
export class RequestError extends Error {
  readonly failure: Failure;

  constructor(kind: FailureKind, message: string, problems: readonly ArgumentProblem[] = []) {
    super(message);
    const code = `ERR_${kind.toUpperCase().replace('-', '_')}`;
    this.failure = { kind, code, message: withoutPaths(message), problems: problems.map(scrub) };
  }
}

/** The names that an API has for options: `cfg_scale` for `cfgScale`. Others keep theirs. */
export type FieldNames = Readonly<Record<string, string>>;

/** What clients learn of a model's file that cannot be used: nothing that it holds. */
const MODEL_REASONS: Readonly<Record<string, string>> = {
  ERR_FILE: 'A file that the request needs cannot be read',
  ERR_MODEL_CORRUPT: 'A file that the request needs is damaged',
  ERR_MODEL_UNSUPPORTED: 'A file that the request needs is of a kind that is not supported',
  ERR_MODEL_INCOMPLETE: 'A file that the request needs is incomplete',
  ERR_MODEL_MISMATCH: 'A file that the request needs does not fit the model',
};

/** Errors that a client can mend. */
const OF_REQUESTS: ReadonlySet<string> = new Set(['ERR_IMAGE', 'ERR_MISSING_PACKAGE']);

/** What an error is to a client. */
export function toFailure(error: unknown, names: FieldNames = {}): Failure {
  if (error instanceof RequestError) return error.failure;
  if (isArgumentError(error)) {
    const problems = error.problems.map((problem) => scrub({ ...problem, name: fieldName(problem.name, names) }));
    return { kind: 'invalid', code: error.code, message: argumentError(problems).message, problems };
  }
  if (error instanceof DiffusionError) {
    const { code } = error;
    // What a prompt names is not repeated with a path.
    if (/ but the prompt has /.test(error.message)) {
      return { kind: 'not-found', code, message: withoutPaths(error.message), problems: [] };
    }
    const message = MODEL_REASONS[code] ?? withoutPaths(error.message);
    return { kind: OF_REQUESTS.has(code) ? 'invalid' : kindOf(code), code, message, problems: [] };
  }
  const message = 'The request failed for a reason that is not its own. The log of the server has it';
  return { kind: 'internal', code: 'ERR_UNEXPECTED', message, problems: [] };
}

function kindOf(code: string): FailureKind {
  return code === 'ERR_OUT_OF_MEMORY' || code === 'ERR_DISPOSED' ? 'unavailable' : 'internal';
}

/** The name of an option, or of a part of one, in the API. */
function fieldName(name: string, names: FieldNames): string {
  const own = names[name];
  if (own !== undefined) return own;
  return name.replace(/^[a-zA-Z]+|(?<= )[a-zA-Z]+/g, (word) => names[word] ?? word);
}

function scrub(problem: ArgumentProblem): ArgumentProblem {
  const { remedy, expected, received } = problem;
  const scrubbed = { expected: withoutPaths(expected), received: withoutPaths(received) };
  return { ...problem, ...scrubbed, ...(remedy === undefined ? {} : { remedy: withoutPaths(remedy) }) };
}

/** A message without anything that looks like the path of a file. */
export function withoutPaths(message: string): string {
  return message
    .replace(/'[^']*[\\/][^']*'/g, "'...'")
    .replace(/(^|[\s(=:,])(?:[A-Za-z]:)?[\\/][^\s,;:'")]+/g, '$1...');
}
