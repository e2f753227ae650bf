// The options that say by what method images are made: the sampler and the schedule of its noise levels.

import { describe } from '../core/errors.ts';
import type { OptionCheck } from '../options/check.ts';
import { SAMPLER_NAMES, SAMPLERS, type Sampler, type SamplerEntry, type SamplerName } from '../sampler/index.ts';
import { adviceOnName, findSampler, findScheduler } from '../sampler/names.ts';
import { customSigmas, SCHEDULER_NAMES, type SchedulerName } from '../schedule/index.ts';

/** Another program's name for a method; says to TypeScript that any text may be one, while editors still offer ours. */
export type OtherName = string & Record<never, never>;

/** A sampler that was asked for, and the schedule where its name says that. */
export interface AskedSampler extends SamplerEntry {
  /** Evaluations of the network in a step, except the last; 1 for a custom sampler. */
  readonly evaluationsPerStep: number;
  /** Undefined for a custom one. */
  readonly name: SamplerName | undefined;
  readonly samplerName: string;
  readonly scheduler?: SchedulerName;
}

/** @returns the default where none is given or its name means nothing here; problems stay with `check`. */
export function checkSampler(check: OptionCheck, fallback: SamplerName): AskedSampler {
  const value = check.value('sampler');
  if (typeof value === 'function') {
    const samplerName = value.name || 'custom';
    return {
      name: undefined,
      sampler: value as Sampler,
      samplerName,
      evaluationsPerStep: 1,
      defaultScheduler: 'discrete',
    };
  }
  const found = checkMethod(check, 'sampler', findSampler) ?? { sampler: fallback };
  return {
    name: found.sampler,
    samplerName: found.sampler,
    evaluationsPerStep: 1,
    ...SAMPLERS[found.sampler],
    ...(found.scheduler && { scheduler: found.scheduler }),
  };
}

/**
 * The schedule, or the noise levels themselves; the sampler's own where none is given.
 *
 * @param ofModel the schedule of samplers that ask for none in particular.
 */
export function checkScheduler(
  check: OptionCheck,
  sampler: AskedSampler,
  ofModel: SchedulerName,
): SchedulerName | Float64Array {
  const value = check.value('scheduler');
  const { defaultScheduler } = sampler;
  const own = sampler.scheduler ?? (defaultScheduler === 'discrete' ? ofModel : defaultScheduler);
  const isList = typeof value === 'object' && value !== null;
  const asked = isList
    ? check.attempt(() => customSigmas(value as ArrayLike<number>, 'scheduler'))
    : checkMethod(check, 'scheduler', (name) => findScheduler(name, sampler.name, sampler.scheduler));
  if (asked !== undefined && sampler.scheduler && asked !== sampler.scheduler) {
    const expected = `${sampler.scheduler}, which the sampler ${describe(check.value('sampler'))} says,`;
    check.problem({
      name: 'scheduler',
      expected,
      received: describe(value),
      remedy: `Or give '${sampler.name}' as sampler`,
    });
  }
  return asked ?? own;
}

/** What a name means; undefined where none is given, or one that means nothing here. */
function checkMethod<T>(
  check: OptionCheck,
  kind: 'sampler' | 'scheduler',
  find: (name: string) => T | undefined,
): T | undefined {
  const value = check.value(kind);
  if (value === undefined) return undefined;
  const found = typeof value === 'string' ? find(value) : undefined;
  if (found !== undefined) return found;
  const names = kind === 'sampler' ? SAMPLER_NAMES : SCHEDULER_NAMES;
  const remedy = typeof value === 'string' ? adviceOnName(kind, value) : undefined;
  check.problem({
    name: kind,
    expected: `one of ${names.join(', ')}`,
    received: describe(value),
    ...(remedy && { remedy }),
    ...(typeof value !== 'string' && { code: 'ERR_INVALID_ARG_TYPE' }),
  });
  return undefined;
}
