// The warnings of a command: printed on standard error as they come, and kept for --json.

import { withWarnings } from '../core/warnings.ts';

/** Erases the line that a progress bar stands in. */
const ERASE_LINE = '\r\x1b[K';

/** Each message once, in their order. */
export class CommandWarnings {
  readonly #told = new Set<string>();

  /** Prints a message that was not printed before. */
  readonly tell = (message: string): void => {
    if (this.#told.has(message)) return;
    this.#told.add(message);
    process.stderr.write(`${process.stderr.isTTY ? ERASE_LINE : ''}warning: ${message}\n`);
  };

  /** Does work outside of any model or run, whose warnings are the command's. */
  during<T>(work: () => T): T {
    return withWarnings(this.tell, work);
  }

  /** All so far. */
  get all(): readonly string[] {
    return [...this.#told];
  }
}
