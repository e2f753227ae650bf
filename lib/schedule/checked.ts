// Schedules for users, with checked arguments.

import { describe } from '../core/errors.ts';
import { FlowLevels, SigmaTable } from '../noise-model/index.ts';
import { OptionCheck } from '../options/check.ts';
import { MAX_SIGMAS } from './custom.ts';
import type { Schedule } from './types.ts';

/**
 * Adds checks of the arguments to a schedule.
 *
 * @throws TypeError or RangeError for invalid arguments.
 */
export function checked(schedule: Schedule): Schedule {
  return (steps, table) => {
    const check = new OptionCheck({ steps, table }, ['steps', 'table']);
    const wrong = (name: string, expected: string, value: unknown) =>
      check.problem({ name, expected, received: describe(value), code: 'ERR_INVALID_ARG_TYPE' });
    const count = check.number('steps', 1, { min: 1, max: MAX_SIGMAS - 1, integer: true });
    if (steps === undefined) wrong('steps', 'a number', steps);
    if (!SigmaTable.is(table) && !FlowLevels.is(table)) wrong('table', 'a SigmaTable or FlowLevels', table);
    check.done();
    return schedule(count, table);
  };
}
