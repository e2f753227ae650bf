// Sigmas that a user gives instead of the name of a schedule.

import { argumentError, describe } from '../core/errors.ts';
import { numbersOf } from '../options/check.ts';

/** One more than the steps that a call may have. */
export const MAX_SIGMAS = 1001;
const EXPECTED = 'at least two finite numbers, strictly falling, the last 0,';

/**
 * Checks a user's own list of noise levels.
 *
 * @param sigmas at least two finite numbers, strictly falling, the last 0. Their number less one is the number of
 *   steps.
 * @param name name of the option, for the error.
 * @throws TypeError `ERR_INVALID_ARG_TYPE` where no list of numbers was given.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` where the numbers are not such a list.
 */
export function customSigmas(sigmas: ArrayLike<number>, name = 'sigmas'): Float64Array {
  const list = numbersOf(sigmas, name, MAX_SIGMAS, EXPECTED);
  const wrong = list.findIndex((sigma, i) => !Number.isFinite(sigma) || !(i === 0 || sigma < (list[i - 1] as number)));
  if (wrong >= 0) throw problem(name, `${list[wrong]} at index ${wrong}`);
  if (list.length < 2) throw problem(name, describe(list));
  if (list.at(-1) !== 0) throw problem(name, `${list.at(-1)} at the end`);
  return Float64Array.from(list);
}

function problem(name: string, received: string): Error {
  return argumentError([{ name, expected: EXPECTED, received, code: 'ERR_INVALID_ARG_VALUE' }]);
}
