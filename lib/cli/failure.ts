// Reports a failed command: one message on standard error, an object on standard output with --json, and the exit code.

import { DiffusionError, isArgumentError } from '../core/errors.ts';
import type { CommandLine } from './command-line.ts';
import { inFlags, problemsInFlags } from './problems.ts';
import { printJson, ReaderGoneError } from './standard-output.ts';
import { UsageError, type UsageProblem } from './usage-error.ts';

const FAILURE = 1;
const USAGE = 2;
/** The exit status that shells report for SIGPIPE: 128 plus the signal's number. */
const READER_GONE = 141;

/** A failure, in terms of the command line. */
interface Failure {
  readonly code: string;
  readonly message: string;
  /** All problems of the command line; empty for other failures. */
  readonly problems: readonly UsageProblem[];
}

/**
 * Prints a failure. The stack trace is printed only for a bug, with `--verbose`.
 *
 * @param json whether to print it as JSON too.
 * @returns the exit code: 2 for an invalid command line, 1 for anything else.
 */
export async function reportFailure(
  error: unknown,
  commandLine: CommandLine | undefined,
  json: boolean,
): Promise<number> {
  if (error instanceof ReaderGoneError) return READER_GONE;
  const { code, message, problems } = describeFailure(error, commandLine);
  process.stderr.write(`diffuse: ${message}\n`);
  // The message was printed already. If nobody reads standard output, nothing is lost.
  if (json) await printJson({ error: { code, message, problems } }).catch(() => {});
  return problems.length > 0 ? USAGE : FAILURE;
}

function describeFailure(error: unknown, commandLine: CommandLine | undefined): Failure {
  if (error instanceof UsageError) return error;
  if (isArgumentError(error)) {
    const { message, problems } = new UsageError(...problemsInFlags(error, commandLine));
    return { code: error.code, message, problems };
  }
  if (error instanceof DiffusionError) {
    return { code: error.code, message: inFlags(error.message, commandLine), problems: [] };
  }
  const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined };
  const details = commandLine?.flags.verbose ? `\n${stack}` : '. Run it again with --verbose to see where';
  return { code: 'ERR_UNEXPECTED', message: `unexpected ${message}${details}`, problems: [] };
}
