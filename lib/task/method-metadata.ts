// Sampler and schedule as the text of an image has them: in the words of AUTOMATIC1111's web UI.

import { describe } from '../core/errors.ts';
import { toNumber } from '../core/values.ts';
import { adviceOnName, findSampler, findScheduler, isAutomatic, toMetadataName } from '../sampler/names.ts';
import type { SchedulerName } from '../schedule/index.ts';
import type { AskedSampler } from './method.ts';
import type { MetadataColumn } from './row.ts';
import { type Fields, listOf, nameOf, type StatedValues } from './stated.ts';

export const SAMPLER_METADATA: MetadataColumn<AskedSampler> = {
  key: 'Sampler',
  type: '',
  parameters: ({ samplerName }) => ({ sampler: samplerName }),
  write: ({ sampler }) => ({ Sampler: toMetadataName.sampler(sampler) }),
  options: methodOf,
};

export const SCHEDULER_METADATA: MetadataColumn<SchedulerName | Float64Array> = {
  key: 'Schedule type',
  type: '',
  parameters: (scheduler) => (typeof scheduler === 'string' ? { scheduler } : { sigmas: [...scheduler] }),
  write: ({ scheduler, sigmas }) => ({
    'Schedule type': scheduler && toMetadataName.scheduler(scheduler),
    Sigmas: sigmas?.join(', '),
  }),
  read: (fields, line) => ({
    scheduler: fields['Schedule type'] ?? fields.Scheduler,
    sigmas: listOf(fields.Sigmas ?? sigmasOfSdCpp(line)),
  }),
  // The sampler's name may state the schedule too: they are read together.
  options: () => ({}),
};

/**
 * Sampler and schedule by our names. A schedule in the sampler's name takes precedence, as in the web UI; `Automatic`
 * says nothing without a sampler.
 */
function methodOf(values: StatedValues, warnings: string[]): { sampler?: string; scheduler?: unknown } {
  const named = nameOf(values.sampler);
  const found = named === undefined ? undefined : findSampler(named);
  if (named !== undefined && !found) warnings.push(unknownName('sampler', named));
  if (values.sigmas) return { ...found, scheduler: values.sigmas.map(toNumber) };
  const schedule = nameOf(values.scheduler);
  if (found?.scheduler || schedule === undefined || (!found && isAutomatic(schedule))) return { ...found };
  const scheduler = findScheduler(schedule, found?.sampler);
  if (scheduler === undefined) warnings.push(unknownName('scheduler', schedule));
  return { ...found, ...(scheduler && { scheduler }) };
}

function unknownName(kind: 'sampler' | 'scheduler', name: string): string {
  const advice = adviceOnName(kind, name);
  return `The image was generated with the ${kind} ${describe(name)}, which is unknown here${advice ? `. ${advice}` : ''}`;
}

/** Custom noise levels in the text of stable-diffusion.cpp, which does not quote them. */
function sigmasOfSdCpp(line: string): string | undefined {
  return /, Custom Sigmas: \[([\d., ]*)\]/.exec(line)?.[1];
}

/**
 * stable-diffusion.cpp writes `inf` for the default of the sampler. Before it had that, it wrote 0, which ancestral
 * samplers ignored and which is the default of the others.
 */
export function etaOf({ Eta: eta, Version: version }: Fields): string | undefined {
  const isDefault = version === 'stable-diffusion.cpp' && (eta === 'inf' || Number(eta) === 0);
  return isDefault ? undefined : eta;
}
