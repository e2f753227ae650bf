// Writing to standard output, where the reader may go away at any moment.

import { DiffusionError } from '../core/errors.ts';

/** Nobody reads standard output any more, which is nothing to tell anybody. */
export class ReaderGoneError extends Error {}

/**
 * Writes and waits until it is out.
 *
 * @throws ReaderGoneError when the reader has gone; DiffusionError `ERR_WRITE` when the system refuses otherwise.
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

/** Prints a value as one line of JSON; integers beyond 2^53 - 1, which most readers of JSON round, as strings. */
export function printJson(value: unknown): Promise<void> {
  const line = JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? String(part) : part));
  return print(`${line}\n`);
}
