// Following AbortSignals of any kind, and waiting no longer than them, without leaving listeners behind.

import { setMaxListeners } from 'node:events';
import { transferableAbortController } from 'node:util';

/**
 * Makes an AbortController of Node's own. Where the globals are those of a DOM (Electron's renderer, test environments), the global one
 * is another, which need not know reasons.
 */
export function createAbortController(): AbortController {
  return transferableAbortController();
}

/** Whether a value does what is asked of an AbortSignal, whatever its class: other realms and DOMs have their own. */
export function isAbortSignal(value: unknown): value is AbortSignal {
  try {
    const { aborted, addEventListener, removeEventListener } = value as AbortSignal;
    const methods: unknown[] = [addEventListener, removeEventListener];
    return typeof aborted === 'boolean' && methods.every((method) => typeof method === 'function');
  } catch {
    return false;
  }
}

/**
 * Aborts `controller`, with the same reason, when any of the signals fires or has fired.
 *
 * @returns ends that, and removes the listeners.
 */
export function follow(controller: AbortController, signals: readonly (AbortSignal | undefined)[]): () => void {
  const endings = signals.map((signal) => signal && onAbort(signal, () => controller.abort(reasonOf(signal))));
  return () => {
    for (const end of endings) end?.();
  };
}

/**
 * Waits for work that may not end by itself, but no longer than until the signal fires.
 *
 * @throws `signal.reason` once the signal has fired.
 */
export async function untilAborted<T>(work: T | PromiseLike<T>, signal: AbortSignal): Promise<T> {
  let end = () => {};
  const aborted = new Promise<never>((_, reject) => {
    end = onAbort(signal, () => reject(reasonOf(signal)));
  });
  try {
    return await Promise.race([aborted, work]);
  } finally {
    end();
  }
}

/** @throws `signal.reason` if the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw reasonOf(signal);
}

/**
 * Calls `listener` when the signal fires, or at once where it has fired. Nothing is asked of the signal but what every kind has.
 *
 * @returns removes the listener.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener();
    return () => {};
  }
  allowManyListeners(signal);
  signal.addEventListener('abort', listener);
  return () => signal.removeEventListener('abort', listener);
}

function reasonOf({ reason }: AbortSignal): unknown {
  return reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : reason;
}

/** One signal may rightly serve any number of waiting calls; Node would warn of a leak from the eleventh on. */
function allowManyListeners(signal: AbortSignal): void {
  try {
    setMaxListeners(0, signal);
  } catch {
    // A signal that is none of Node's, and that nothing is counted of.
  }
}
