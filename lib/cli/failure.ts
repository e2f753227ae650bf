// What a failed command tells its user: one message on standard error, and the exit code.

import { type ArgumentError, DiffusionError } from '../errors.ts';
import type { CommandLine } from './arguments.ts';
import { inFlags } from './request.ts';
import { UsageError } from './usage-error.ts';

const FAILURE = 1;
const USAGE = 2;

/**
 * Prints a failure, without a stack trace unless it is a defect and `--verbose` asks for it.
 *
 * @returns the exit code: 2 for a command line that cannot be right, 1 for anything else.
 */
export function reportFailure(error: unknown, commandLine: CommandLine | undefined): number {
  if (error instanceof UsageError) return complain(error.message, USAGE);
  if (isArgumentError(error)) return complain((commandLine ? inFlags(error, commandLine) : error).message, USAGE);
  if (error instanceof DiffusionError) return complain(error.message, FAILURE);
  const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined };
  const details = commandLine?.flags.verbose ? `\n${stack}` : '. Run it again with --verbose to see where';
  return complain(`unexpected ${message}${details}`, FAILURE);
}

function complain(message: string, exitCode: number): number {
  process.stderr.write(`diffuse: ${message}\n`);
  return exitCode;
}

function isArgumentError(error: unknown): error is ArgumentError {
  return error instanceof Error && Array.isArray((error as Partial<ArgumentError>).problems);
}
