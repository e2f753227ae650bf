// The interface of loggers.

/**
 * Receives messages of the native engine, and all other warnings in `warn`. `console` and the loggers of pino and
 * winston fit.
 */
export interface Logger {
  debug?(message: string): void;
  info?(message: string): void;
  warn?(message: string): void;
  error?(message: string): void;
}
