// A command line that was understood: what every command is given.

import type { CommandName } from './flag.ts';

/** A command line, before its values are judged. */
export interface CommandLine {
  readonly command: CommandName;
  /** What stands behind the command, an image or a model. */
  readonly file?: string;
  /** Value of each flag that was given, by its long name: text as typed, true for a switch. */
  readonly flags: Readonly<Record<string, string | true>>;
  /** The values of each flag that may be given several times, in their order. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
}

/** The text of a flag; undefined where it is not given. */
export function textOf(value: string | true | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
