// Opens networks natively: shared by models and other networks.

import { AsyncResource } from 'node:async_hooks';
import { createAbortController, follow } from '../async/abort.ts';
import { callNative } from '../native/call.ts';
import type { NativeAddon, NativeOpenOptions } from '../native/contract.ts';
import type { CheckedComputeOptions } from './load-options.ts';

/**
 * Opens networks with their progress, messages and cancellation.
 *
 * @param start the call that opens them.
 * @throws DiffusionError of the native side; `signal.reason` once the signal has fired; errors thrown by `onProgress`.
 */
export async function openNative<T extends { dispose(): Promise<void> }>(
  addon: NativeAddon,
  { onProgress, signal, logger, ...computing }: CheckedComputeOptions,
  start: (options: NativeOpenOptions) => Promise<T>,
): Promise<T> {
  const controller = createAbortController();
  const unfollow = follow(controller, [signal]);
  try {
    const opened = await callNative(addon, controller.signal, (cancellation) =>
      start({
        ...computing,
        cancellation,
        // Bound to the current work: if that is a run, the warnings belong to it.
        onLog: AsyncResource.bind((level, message) => logger?.[level]?.(message)),
        onProgress: (progress) => guard(controller, () => onProgress?.(progress)),
      }),
    );
    // `onProgress` may have thrown in the last call, when everything was loaded.
    if (!controller.signal.aborted) return opened;
    await opened.dispose();
    throw controller.signal.reason;
  } finally {
    unfollow();
  }
}

/** Runs a user's callback; if it throws, the work that it belongs to is aborted. */
function guard(controller: AbortController, callback: () => void): void {
  try {
    callback();
  } catch (error) {
    controller.abort(error);
  }
}
