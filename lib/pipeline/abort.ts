// Following AbortSignals without leaving listeners behind.

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
