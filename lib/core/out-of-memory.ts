// Failed allocations of JavaScript, of Node and of libraries, as errors of this package.

import { DiffusionError } from './errors.ts';

/** Of system calls, of Node's own allocations and of zlib. */
const CODES: readonly unknown[] = ['ENOMEM', 'ERR_MEMORY_ALLOCATION_FAILED', 'Z_MEM_ERROR'];

/**
 * Waits for work whose allocations may fail.
 *
 * @throws DiffusionError `ERR_OUT_OF_MEMORY` if it fails for lack of memory, whatever its error says; otherwise what it
 *   throws.
 */
export async function reportMemory<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw isLackOfMemory(error) ? outOfMemory(error) : error;
  }
}

export function outOfMemory(cause: unknown): DiffusionError {
  return new DiffusionError(
    'ERR_OUT_OF_MEMORY',
    'Expected memory for an array, but none is available. Use a smaller image or a smaller batch, close other programs, or ' +
      'raise the limit of the process or its container.',
    { cause },
  );
}

/** Whether an error, or one that caused it, is a failed allocation. False for one whose code says so. */
function isLackOfMemory(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (code === 'ERR_OUT_OF_MEMORY') return false;
    if (CODES.includes(code)) return true;
    if (at instanceof RangeError && at.message.startsWith('Array buffer allocation failed')) return true;
  }
  return false;
}
