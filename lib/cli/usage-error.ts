// The error for an invalid command line.

import type { ArgumentProblem } from '../core/errors.ts';

/** One problem of a command line; for the value of a flag also what was expected and received. */
export interface UsageProblem extends Partial<ArgumentProblem> {
  /** What is wrong and how to fix it. */
  readonly message: string;
}

/** An invalid command line, with all its problems. */
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
