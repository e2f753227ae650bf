// Calls into the addon: connects them to an AbortSignal and converts their errors to those of the package.

import { onAbort, throwIfAborted } from '../async/abort.ts';
import { DiffusionError, type DiffusionErrorCode } from '../core/errors.ts';
import type { NativeAddon, NativeCancellation, NativeHandle } from './contract.ts';

/**
 * Runs native work that the signal can cancel.
 *
 * @throws `signal.reason` once the signal has fired, whatever the native error is; `DiffusionError` for native
 *   failures.
 */
export async function callNative<T>(
  addon: NativeAddon,
  signal: AbortSignal | undefined,
  start: (cancellation: NativeCancellation) => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  const cancellation = newCancellation(addon);
  const stopListening = signal && onAbort(signal, () => cancellation.cancel());
  try {
    return await start(cancellation);
  } catch (error) {
    throwIfAborted(signal);
    throw toDiffusionError(error);
  } finally {
    stopListening?.();
  }
}

function newCancellation(addon: NativeAddon): NativeCancellation {
  try {
    return new addon.Cancellation();
  } catch (cause) {
    throw new DiffusionError(
      'ERR_OUT_OF_MEMORY',
      'Expected memory for a native call, but the system gives this process no more. End other work, or raise the limit of the ' +
        'process or its container.',
      { cause },
    );
  }
}

/** Converts a native error. One without a code, or about the arguments of the call, is a bug and stays as it is. */
function toDiffusionError(error: unknown): unknown {
  const { code, message } = error as { code?: string; message: string };
  if (code === undefined || !code.startsWith('ERR_') || code.startsWith('ERR_INVALID_ARG')) return error;
  return new DiffusionError(code as DiffusionErrorCode, message, { cause: error });
}

/** Closes a handle. Handles of a disposed model are closed already. */
export async function closeHandle(handle: NativeHandle | undefined): Promise<void> {
  try {
    await handle?.close();
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_DISPOSED') throw error;
  }
}
