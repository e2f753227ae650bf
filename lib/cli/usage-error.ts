// The error of a command line that cannot be understood.

/** A command line that asks for nothing sensible; the message says what is wrong and what would be right. */
export class UsageError extends Error {}
