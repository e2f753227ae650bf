// Writing to standard output, where the reader may go away at any moment.

import { DiffusionError } from '../errors.ts';

/**
 * Writes and waits until it is out.
 *
 * @throws DiffusionError `ERR_WRITE` when the reader has gone.
 */
export function print(data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(data, (cause) => {
      if (cause)
        reject(new DiffusionError('ERR_WRITE', `Cannot write to standard output: ${cause.message}`, { cause }));
      else resolve();
    });
  });
}

/** Prints a value as one line of JSON; integers beyond 2^53 - 1, which most readers of JSON round, as strings. */
export function printJson(value: unknown): Promise<void> {
  const line = JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? String(part) : part));
  return print(`${line}\n`);
}
