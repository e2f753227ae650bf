// Collects all problems of a command line before any work starts and reports them together, by the names of its flags.

import { type ArgumentError, argumentError, isArgumentError } from '../core/errors.ts';
import { IMAGE_INPUT } from '../image/input.ts';
import type { CommandLine } from './command-line.ts';
import { controlOption } from './controls.ts';
import type { Flag } from './flag.ts';
import { FLAGS } from './flags.ts';
import { UsageError, type UsageProblem } from './usage-error.ts';

/** Collects the problems of a command line. */
export class Problems {
  readonly #commandLine: CommandLine;
  readonly #all: UsageProblem[] = [];

  constructor(commandLine: CommandLine) {
    this.#commandLine = commandLine;
  }

  add(message: string): void {
    this.#all.push({ message });
  }

  /** Runs a check and adds the problems that it throws. */
  attempt<T>(check: () => T): T | undefined {
    try {
      return check();
    } catch (error) {
      if (error instanceof UsageError) this.#all.push(...error.problems);
      else if (isArgumentError(error)) this.#all.push(...problemsInFlags(error, this.#commandLine));
      else throw error;
      return undefined;
    }
  }

  /** @throws UsageError with all problems, if there are any. */
  done(): void {
    if (this.#all.length > 0) throw new UsageError(...this.#all);
  }
}

/** Converts problems of API options to problems of the flags that set them. */
export function problemsInFlags({ problems }: ArgumentError, commandLine: CommandLine | undefined): UsageProblem[] {
  return problems.map((problem) => {
    const named = {
      ...problem,
      name: flagName(problem.name, commandLine),
      expected: inFlags(problem.expected === IMAGE_INPUT ? 'the path of an image' : problem.expected, commandLine),
      received: problem.received === 'undefined' ? 'none' : problem.received.replace(/^(-?\d+)n$/, '$1'),
      ...(problem.remedy && { remedy: inFlags(problem.remedy, commandLine) }),
    };
    return { ...named, message: argumentError([named]).message };
  });
}

/** Replaces the options that a message of the API mentions with the flags that set them. */
export function inFlags(message: string, commandLine: CommandLine | undefined): string {
  return message.replace(/(?:the )?option `([\w.]+)`/g, (whole, option: string) => {
    const flag = setterOf(option, commandLine);
    return flag ? `--${flag.name}` : whole;
  });
}

/** The flag that sets an option, or those of several options in one name: `width x height`. */
function flagName(name: string, commandLine: CommandLine | undefined): string {
  const flag = setterOf(name, commandLine);
  if (flag) return `--${flag.name}`;
  return name.replace(/\w+/g, (word) =>
    setterOf(word, commandLine) && name.includes(' ') ? flagName(word, commandLine) : word,
  );
}

/** The flag of an option; of several, the one that was given. */
function setterOf(option: string, commandLine: CommandLine | undefined): Flag | undefined {
  // A property of an option has a name of its own: `targetSize.width`.
  const wanted = [controlOption(option), option, option.split('.')[0]];
  const groups = wanted.map((name) => FLAGS.filter(({ option: set }) => set !== undefined && set === name));
  const setters = groups.find((group) => group.length > 0) ?? [];
  return setters.find(({ name }) => commandLine?.flags[name] !== undefined) ?? setters[0];
}
