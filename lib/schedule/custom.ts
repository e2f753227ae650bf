// Sigmas that a user gives instead of the name of a schedule.

import { types } from 'node:util';
import { argumentError, describe } from '../errors.ts';
import { entriesOf } from '../options.ts';

/** One more than the steps that a call may have. */
const MAX_SIGMAS = 1001;

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
  const isList = Array.isArray(sigmas) || types.isTypedArray(sigmas);
  if (!isList) throw problem('ERR_INVALID_ARG_TYPE', name, describe(sigmas));
  const values = entriesOf(sigmas, name, MAX_SIGMAS, `from 2 to ${MAX_SIGMAS} numbers`);
  const other = values.findIndex((value) => typeof value !== 'number');
  if (other >= 0) throw problem('ERR_INVALID_ARG_TYPE', name, `${describe(values[other])} at index ${other}`);
  const list = values as readonly number[];
  const wrong = list.findIndex((sigma, i) => !Number.isFinite(sigma) || !(i === 0 || sigma < (list[i - 1] as number)));
  if (wrong >= 0) throw problem('ERR_INVALID_ARG_VALUE', name, `${list[wrong]} at index ${wrong}`);
  if (list.length < 2) throw problem('ERR_INVALID_ARG_VALUE', name, describe(list));
  if (list.at(-1) !== 0) throw problem('ERR_INVALID_ARG_VALUE', name, `${list.at(-1)} at the end`);
  return Float64Array.from(list);
}

function problem(code: 'ERR_INVALID_ARG_TYPE' | 'ERR_INVALID_ARG_VALUE', name: string, received: string): Error {
  const expected = 'at least two finite numbers, strictly falling, the last 0,';
  return argumentError([{ name, expected, received, code }]);
}
