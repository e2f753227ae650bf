// Names of samplers and schedules in picture metadata: those of AUTOMATIC1111's web UI where it has the same method.

const SAMPLERS: Readonly<Record<string, string>> = {
  euler: 'Euler',
  euler_a: 'Euler a',
  heun: 'Heun',
  dpm2: 'DPM2',
  'dpm++2s_a': 'DPM++ 2S a',
  'dpm++2m': 'DPM++ 2M',
  'dpm++2m_sde': 'DPM++ 2M SDE',
  lms: 'LMS',
  lcm: 'LCM',
};

const SCHEDULERS: Readonly<Record<string, string>> = {
  discrete: 'Uniform',
  karras: 'Karras',
  exponential: 'Exponential',
  sgm_uniform: 'SGM Uniform',
  simple: 'Simple',
  ays: 'Align Your Steps',
  kl_optimal: 'KL Optimal',
  beta: 'Beta',
};

/** Random generators: `NV` computes on the CPU what `GPU` gives on Nvidia cards. */
const GENERATORS: Readonly<Record<string, string>> = { cuda: 'NV', cpu: 'CPU' };

/** The metadata's word for a name of ours; a name that it has no word for stays. */
export const toMetadataName = {
  sampler: (name: string) => SAMPLERS[name] ?? name,
  scheduler: (name: string) => SCHEDULERS[name] ?? name,
  rng: (name: string) => GENERATORS[name] ?? name,
};

/**
 * Our names for what metadata says of sampler and schedule. Older files and those of stable-diffusion.cpp write both as
 * one, `DPM++ 2M Karras` or `euler_a karras`.
 */
export function fromMetadataNames(sampler = '', scheduler?: string): { sampler?: string; scheduler?: string } {
  if (scheduler !== undefined) return { sampler: ours(SAMPLERS, sampler), scheduler: ours(SCHEDULERS, scheduler) };
  for (const [name, word] of Object.entries(SCHEDULERS)) {
    const suffix = [` ${word}`, ` ${name}`].find((end) => sampler.endsWith(end));
    if (suffix) return { sampler: ours(SAMPLERS, sampler.slice(0, -suffix.length)), scheduler: name };
  }
  return sampler ? { sampler: ours(SAMPLERS, sampler) } : {};
}

/** Our name of a random generator that metadata names. */
export function fromMetadataRng(word: string | undefined): string | undefined {
  return word === undefined ? undefined : word === 'GPU' ? 'cuda' : ours(GENERATORS, word);
}

function ours(names: Readonly<Record<string, string>>, word: string): string {
  return Object.keys(names).find((name) => names[name] === word) ?? word;
}
