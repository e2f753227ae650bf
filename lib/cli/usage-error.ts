// The error of a command line that cannot be right.

import type { ArgumentProblem } from '../core/errors.ts';

/** One thing that is wrong with a command line; of the value of a flag it says what was expected and what came. */
export interface UsageProblem extends Partial<ArgumentProblem> {
  /** What is wrong and what would be right. */
  readonly message: string;
}

/** A command line that asks for nothing sensible, with everything that is wrong with it. */
export class UsageError extends Error {
  readonly code = 'ERR_USAGE';
  readonly problems: readonly UsageProblem[];

  constructor(...problems: readonly (UsageProblem | string)[]) {
    const all = problems.map((problem) => (typeof problem === 'string' ? { message: problem } : problem));
    const messages = all.map(({ message }) => message);
    super(messages.length === 1 ? messages[0] : `${messages.length} problems:\n- ${messages.join('\n- ')}`);
    this.problems = all;
  }
}
