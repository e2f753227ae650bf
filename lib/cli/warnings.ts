// The warnings of a command: printed on standard error as they come, and kept for --json.

import { withWarnings } from '../core/warnings.ts';

/** Erases the line of a progress bar. */
const ERASE_LINE = '\r\x1b[K';

/** Warnings, each message once, in order. */
export class CommandWarnings {
  readonly #messages = new Set<string>();

  /** Prints a message, unless it was printed before. */
  readonly tell = (message: string): void => {
    if (this.#messages.has(message)) return;
    this.#messages.add(message);
    process.stderr.write(`${process.stderr.isTTY ? ERASE_LINE : ''}warning: ${message}\n`);
  };

  /** Runs work that belongs to no model or run; its warnings are the command's. */
  during<T>(work: () => T): T {
    return withWarnings(this.tell, work);
  }

  /** All warnings so far. */
  get all(): readonly string[] {
    return [...this.#messages];
  }
}
