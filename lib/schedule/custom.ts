// Custom sigmas in place of a schedule's name.

import { argumentError, describe } from '../core/errors.ts';
import { numbersOf } from '../options/check.ts';

/** One more than the maximum number of steps. */
export const MAX_SIGMAS = 1001;
const EXPECTED = 'at least two finite numbers, strictly falling, the last 0,';

/**
 * Checks a custom list of noise levels.
 *
 * @param sigmas at least two finite numbers, strictly decreasing, the last 0. There is one step fewer than
 *   numbers.
 * @param name name of the option, for the error.
 * @throws TypeError `ERR_INVALID_ARG_TYPE` for anything but a list of numbers.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for other numbers.
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
