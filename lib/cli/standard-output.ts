// Writes to standard output, whose reader may close it at any time.

import { DiffusionError } from '../core/errors.ts';

/** The reader of standard output has closed it, which is not reported. */
export class ReaderGoneError extends Error {}

/**
 * Writes data and waits until it is written.
 *
 * @throws ReaderGoneError if the reader has closed the pipe; DiffusionError `ERR_WRITE` for other system errors.
 */
export function print(data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(data, (cause) => {
      if (!cause) resolve();
      else if ((cause as NodeJS.ErrnoException).code === 'EPIPE') reject(new ReaderGoneError());
      else reject(new DiffusionError('ERR_WRITE', `Cannot write to standard output: ${cause.message}`, { cause }));
    });
  });
}

/**
 * Prints a value as one line of JSON. Integers above 2^53 - 1 become strings, because most JSON parsers would round
 * them.
 */
export function printJson(value: unknown): Promise<void> {
  const line = JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? String(part) : part));
  return print(`${line}\n`);
}
