// A parsed command line: the input of every command.

import type { CommandName } from './flag.ts';

/** A command line whose values are not checked yet. */
export interface CommandLine {
  readonly command: CommandName;
  /** The operand after the command, an image or a model. */
  readonly file?: string;
  /** The value of each given flag, by its long name: the text as typed, true for a switch. */
  readonly flags: Readonly<Record<string, string | true>>;
  /** The values of each flag that may be given several times, in order. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
}

/** The text of a flag; undefined if it is not given. */
export function textOf(value: string | true | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
