// Following AbortSignals, and waiting no longer than them, without leaving listeners behind.

import { setMaxListeners } from 'node:events';

/**
 * Aborts `controller`, with the same reason, when any of the signals fires or has fired.
 *
 * @returns ends that, and removes the listeners.
 */
export function follow(controller: AbortController, signals: readonly (AbortSignal | undefined)[]): () => void {
  const ended = new AbortController();
  for (const signal of signals) {
    if (!signal) continue;
    // One signal may rightly serve any number of waiting calls; Node would warn of a leak from the eleventh on.
    setMaxListeners(0, signal);
    const abort = () => controller.abort(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true, signal: ended.signal });
  }
  return () => ended.abort();
}

/**
 * Waits for work that may not end by itself, but no longer than until the signal fires.
 *
 * @throws `signal.reason` once the signal has fired.
 */
export async function untilAborted<T>(work: T | PromiseLike<T>, signal: AbortSignal): Promise<T> {
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([aborted, work]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
