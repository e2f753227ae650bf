// What a failed command tells its user: one message on standard error, with --json an object on standard output, and the exit code.

import { DiffusionError, isArgumentError } from '../core/errors.ts';
import type { CommandLine } from './command-line.ts';
import { inFlags, problemsInFlags } from './problems.ts';
import { printJson, ReaderGoneError } from './standard-output.ts';
import { UsageError, type UsageProblem } from './usage-error.ts';

const FAILURE = 1;
const USAGE = 2;
/** What the shell reports of a program that SIGPIPE ended: 128 and the signal's number. */
const READER_GONE = 141;

/** A failure, in the words of the command line. */
interface Failure {
  readonly code: string;
  readonly message: string;
  /** Everything that is wrong with the command line, where that is what failed. */
  readonly problems: readonly UsageProblem[];
}

/**
 * Prints a failure, without a stack trace unless it is a defect and `--verbose` asks for it.
 *
 * @param json whether to print it as JSON, too.
 * @returns the exit code: 2 for a command line that cannot be right, 1 for anything else.
 */
export async function reportFailure(
  error: unknown,
  commandLine: CommandLine | undefined,
  json: boolean,
): Promise<number> {
  if (error instanceof ReaderGoneError) return READER_GONE;
  const { code, message, problems } = describeFailure(error, commandLine);
  process.stderr.write(`diffuse: ${message}\n`);
  // The message is out already; a reader who has gone misses no more.
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
