// Follows AbortSignals of any kind, and waits no longer than they allow, without leaving listeners behind.

import { setMaxListeners } from 'node:events';
import { transferableAbortController } from 'node:util';

/**
 * Creates one of Node's own AbortControllers. In DOM environments (Electron's renderer, test environments) the global
 * one is different and may not support reasons.
 */
export function createAbortController(): AbortController {
  return transferableAbortController();
}

/** Whether a value behaves like an AbortSignal, whatever its class: other realms and DOMs have their own. */
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
 * @returns a function that stops following and removes the listeners.
 */
export function follow(controller: AbortController, signals: readonly (AbortSignal | undefined)[]): () => void {
  const endings = signals.map((signal) => signal && onAbort(signal, () => controller.abort(reasonOf(signal))));
  return () => {
    for (const end of endings) end?.();
  };
}

/**
 * Waits for work that may never end, but only until the signal fires.
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
 * Calls `listener` when the signal fires, or immediately if it has fired. Uses only what every kind of signal has.
 *
 * @returns a function that removes the listener.
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

/** One signal may legitimately serve any number of waiting calls; Node would warn of a leak from the eleventh on. */
function allowManyListeners(signal: AbortSignal): void {
  try {
    setMaxListeners(0, signal);
  } catch {
    // Not one of Node's signals, so no listeners are counted.
  }
}
