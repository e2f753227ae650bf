// Converts the flags of ControlNets to the option `controls` of the API. Each flag may be given several times, for
// several controls.

import type { ControlOptions } from '../control/options.ts';
import { toNumber } from '../core/values.ts';
import type { CommandLine } from './command-line.ts';
import { FLAGS } from './flags.ts';
import { UsageError } from './usage-error.ts';

/** The prefix of a control's option names in {@link FLAGS}. */
const CONTROL_OPTION = 'controls[].';

/** The name in {@link FLAGS} of an option of a control; other names are returned unchanged. */
export function controlOption(name: string): string {
  return name === 'controls' ? `${CONTROL_OPTION}model` : name.replace(/^controls\[\d+\]\./, CONTROL_OPTION);
}

/**
 * @returns undefined if there is no control. Values are not checked yet.
 * @throws UsageError if it is unclear which values belong together.
 */
export function readControlFlags({ flags, lists }: CommandLine): readonly ControlOptions[] | undefined {
  const setters = FLAGS.filter(({ option }) => option?.startsWith(CONTROL_OPTION));
  const given = setters.filter(({ name }) => lists[name] !== undefined);
  if (given.length === 0 && !flags.canny) return undefined;
  for (const name of ['control-net', 'control-image']) {
    if (lists[name]) continue;
    const others = [...given.map((flag) => flag.name), ...(flags.canny ? ['canny'] : [])];
    throw new UsageError(`Expected --${name} with --${others[0]} but received none`);
  }
  const count = Math.max(...given.map(({ name }) => (lists[name] as readonly string[]).length));
  const controls = Array.from({ length: count }, () => (flags.canny ? { preprocessor: 'canny' } : {}));
  for (const { name, kind, option = '' } of given) {
    const values = lists[name] as readonly string[];
    if (values.length !== 1 && values.length !== count) {
      const remedy = 'Give it once for all controls, or once for each';
      throw new UsageError(
        `Expected --${name} ${count} times, once per control, but received it ${values.length} times. ${remedy}`,
      );
    }
    for (const [i, control] of controls.entries()) {
      const value = values[values.length === 1 ? 0 : i] as string;
      Object.assign(control, { [option.slice(CONTROL_OPTION.length)]: kind === 'number' ? toNumber(value) : value });
    }
  }
  return controls as unknown as ControlOptions[];
}
