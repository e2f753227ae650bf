// Where messages go.

/**
 * Takes the messages of the native engine, and in `warn` all else that is worth telling and is no error. `console` and the loggers of
 * pino and winston fit.
 */
export interface Logger {
  debug?(message: string): void;
  info?(message: string): void;
  warn?(message: string): void;
  error?(message: string): void;
}
