// One call into the addon: links it to an AbortSignal and turns its errors into those of the package.

import { onAbort, throwIfAborted } from '../async/abort.ts';
import { DiffusionError, type DiffusionErrorCode } from '../core/errors.ts';
import type { NativeAddon, NativeCancellation, NativeHandle } from './contract.ts';

/**
 * Runs native work that the signal can end.
 *
 * @throws `signal.reason` once the signal has fired, whatever the native side says; `DiffusionError` for its failures.
 */
export async function callNative<T>(
  addon: NativeAddon,
  signal: AbortSignal | undefined,
  start: (cancellation: NativeCancellation) => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  const cancellation = newCancellation(addon);
  const end = signal && onAbort(signal, () => cancellation.cancel());
  try {
    return await start(cancellation);
  } catch (error) {
    throwIfAborted(signal);
    throw toDiffusionError(error);
  } finally {
    end?.();
  }
}

function newCancellation(addon: NativeAddon): NativeCancellation {
  try {
    return new addon.Cancellation();
  } catch (cause) {
    throw new DiffusionError(
      'ERR_OUT_OF_MEMORY',
      'Expected memory for a native call, but none is available. Close other programs, or raise the limit of the process or its ' +
        'container.',
      { cause },
    );
  }
}

/**
 * A native error under its own code. One without a code, or about the arguments of the call, is a defect and passes as
 * it is.
 */
function toDiffusionError(error: unknown): unknown {
  const { code, message } = error as { code?: string; message: string };
  if (code === undefined || !code.startsWith('ERR_') || code.startsWith('ERR_INVALID_ARG')) return error;
  return new DiffusionError(code as DiffusionErrorCode, message, { cause: error });
}

/** Lets go of what a handle is for. A model that was disposed of has done so already. */
export async function closeHandle(handle: NativeHandle | undefined): Promise<void> {
  try {
    await handle?.close();
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_DISPOSED') throw error;
  }
}
