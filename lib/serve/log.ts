// The log of a server: one entry an event, as values rather than text.

/** One event. Prompts and images are never part of it. */
export interface LogEntry {
  /** As `Date.toISOString` writes it. */
  readonly time: string;
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** What happened: `listening`, `request`, `job`, `model`, `fields`, `engine`, `closing`. */
  readonly event: string;
  readonly [field: string]: string | number | boolean | undefined;
}

/** Receives the events of a server. */
export type ServeLogger = (entry: LogEntry) => void;

/** Writes entries with their time. */
export class Log {
  readonly #logger: ServeLogger | undefined;

  constructor(logger: ServeLogger | undefined) {
    this.#logger = logger;
  }

  write(level: LogEntry['level'], event: string, fields: Readonly<Record<string, string | number | boolean>> = {}) {
    this.#logger?.({ time: new Date().toISOString(), level, event, ...fields });
  }
}
