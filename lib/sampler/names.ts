// What samplers and schedules are called: by us, by AUTOMATIC1111's web UI, ComfyUI, diffusers, InvokeAI and stable-diffusion.cpp.

import { closest } from '../core/errors.ts';
import { SCHEDULER_NAMES, type SchedulerName } from '../schedule/index.ts';
import { SAMPLER_NAMES, type SamplerName } from './index.ts';

/** What else one of our names is called. Case, spaces, `_`, `-` and a leading `k_` make no difference, `+` is `p`. */
interface Names {
  /** The web UI's word for it, which image metadata is written with. Default: our name. */
  readonly label?: string;
  /** Other names of the same method. */
  readonly also?: readonly string[];
  /** What we do not have and this is the nearest to. */
  readonly nearest?: readonly string[];
}

interface SamplerNames extends Names {
  /** The schedule that `Automatic` stands for with it in the web UI, from version 1.9 on (its sd_samplers_kdiffusion.py). */
  readonly automatic?: SchedulerName;
}

const SAMPLER_WORDS: Readonly<Record<SamplerName, SamplerNames>> = {
  euler: {
    label: 'Euler',
    also: ['EulerDiscreteScheduler'],
    automatic: 'discrete',
    nearest: ['euler_cfg_pp', 'euler_ge', 'gradient_estimation', 'Euler SMEA Dy', 'Euler Dy', 'FlowMatchEuler'],
  },
  euler_a: {
    label: 'Euler a',
    also: ['euler_ancestral', 'EulerAncestralDiscreteScheduler'],
    automatic: 'discrete',
    nearest: ['euler_a_cfg_pp', 'euler_ancestral_cfg_pp', 'ddpm', 'DDPMScheduler', 'er_sde'],
  },
  heun: {
    label: 'Heun',
    also: ['HeunDiscreteScheduler'],
    automatic: 'discrete',
    nearest: ['heunpp2', 'Heun++', 'Restart', 'res_2s'],
  },
  dpm2: {
    label: 'DPM2',
    also: ['dpm_2', 'kdpm_2', 'KDPM2DiscreteScheduler'],
    automatic: 'karras',
    nearest: ['DPM2 a', 'dpm_2_ancestral', 'kdpm_2_a', 'KDPM2AncestralDiscreteScheduler'],
  },
  'dpm++2s_a': {
    label: 'DPM++ 2S a',
    also: ['dpmpp_2s_ancestral'],
    automatic: 'karras',
    nearest: ['dpmpp_2s', 'dpmpp_2s_ancestral_cfg_pp', 'DPMSolverSinglestepScheduler', 'DPM++ SDE', 'dpmpp_sde_gpu'],
  },
  'dpm++2m': {
    label: 'DPM++ 2M',
    also: ['DPMSolverMultistepScheduler'],
    automatic: 'karras',
    nearest: [
      ...['UniPC', 'uni_pc_bh2', 'UniPCMultistepScheduler', 'DEIS', 'DEISMultistepScheduler', 'DPM fast'],
      ...['DPM adaptive', 'dpm_ad', 'dpmpp_2m_cfg_pp', 'res_multistep', 'sa_solver'],
    ],
  },
  'dpm++2mv2': { automatic: 'discrete' },
  'dpm++2m_sde': {
    label: 'DPM++ 2M SDE',
    also: ['dpmpp_2m_sde_gpu'],
    automatic: 'exponential',
    nearest: ['DPM++ 2M SDE Heun', 'dpmpp_2m_sde_heun_gpu', 'DPM++ 3M SDE', 'dpmpp_3m_sde_gpu', 'dpm++2m_sde_bt'],
  },
  lms: { label: 'LMS', also: ['LMSDiscreteScheduler'], automatic: 'discrete' },
  ipndm: { automatic: 'discrete', nearest: ['PLMS', 'pndm', 'PNDMScheduler', 'IPNDMScheduler'] },
  ipndm_v: { automatic: 'discrete' },
  // Not the DDIM of the web UI, which ends at the first training step, nor that of diffusers, which has other timesteps.
  ddim_trailing: { automatic: 'simple', nearest: ['DDIM', 'DDIMScheduler', 'DDIM CFG++'] },
  // The web UI's own spacing of the distilled timesteps is none of ours.
  lcm: { label: 'LCM', also: ['LCMScheduler'] },
  tcd: { label: 'TCD', also: ['TCDScheduler'], automatic: 'lcm' },
};

const SCHEDULER_WORDS: Readonly<Record<SchedulerName, Names>> = {
  discrete: { label: 'Uniform', also: ['Normal'], nearest: ['ddim_uniform', 'DDIM', 'native'] },
  karras: { label: 'Karras', nearest: ['Karras Exponential'] },
  exponential: { label: 'Exponential', also: ['Polyexponential'] },
  sgm_uniform: { label: 'SGM Uniform' },
  simple: { label: 'Simple', nearest: ['Turbo', 'bong_tangent', 'linear_quadratic'] },
  ays: {
    label: 'Align Your Steps',
    nearest: ['Align Your Steps GITS', 'Align Your Steps 11', 'Align Your Steps 32'],
  },
  gits: {},
  kl_optimal: { label: 'KL Optimal' },
  smoothstep: {},
  beta: { label: 'Beta' },
  // `Automatic` is one of ours with every sampler but that of the same name.
  lcm: { nearest: ['tcd', 'Automatic'] },
};

/** Endings of a sampler's name that say the schedule, besides the schedule's names: `dpmpp_2m_k`, `k_dpmpp_2m_sde_exp`. */
const SHORT_ENDINGS: Readonly<Record<string, SchedulerName>> = { k: 'karras', ka: 'karras', exp: 'exponential' };

/** The web UI's word for the schedule that it takes with a sampler where none is chosen. */
const AUTOMATIC = 'automatic';
const MAX_LENGTH = 64;

/** A sampler that was named, and the schedule where its name says that too. */
export interface NamedSampler {
  readonly sampler: SamplerName;
  readonly scheduler?: SchedulerName;
}

/**
 * The sampler that a name of this or another program means; `DPM++ 2M Karras` means a schedule too.
 *
 * @returns undefined where it means none of ours.
 */
export function findSampler(name: string): NamedSampler | undefined {
  if (name.length > MAX_LENGTH) return undefined;
  const key = normalise(name);
  const sampler = SAMPLERS_BY_KEY.get(key);
  if (sampler) return { sampler };
  for (const [ending, meant] of ENDINGS) {
    const named = key.endsWith(ending) && SAMPLERS_BY_KEY.get(key.slice(0, -ending.length));
    const scheduler = named && (meant ?? SAMPLER_WORDS[named].automatic);
    if (named && scheduler) return { sampler: named, scheduler };
  }
  return undefined;
}

/**
 * The schedule that a name of this or another program means. `Automatic` is what the web UI takes with the sampler.
 *
 * @param sampler undefined for a custom one, which uses the model's own levels.
 * @param said the schedule that the sampler's name says, which `Automatic` leaves as it is.
 * @returns undefined where it means none of ours.
 */
export function findScheduler(
  name: string,
  sampler: SamplerName | undefined,
  said?: SchedulerName,
): SchedulerName | undefined {
  if (name.length > MAX_LENGTH) return undefined;
  const key = normalise(name);
  if (key === AUTOMATIC) return said ?? (sampler === undefined ? 'discrete' : SAMPLER_WORDS[sampler].automatic);
  return SCHEDULERS_BY_KEY.get(key);
}

/** Whether a name leaves the schedule to the sampler. */
export function isAutomatic(name: string): boolean {
  return name.length <= MAX_LENGTH && normalise(name) === AUTOMATIC;
}

/** What to do about a name that means none of ours: the nearest that there is, or the one that was perhaps meant. */
export function adviceOnName(kind: 'sampler' | 'scheduler', name: string): string | undefined {
  if (name.length > MAX_LENGTH) return undefined;
  const [words, names] = kind === 'sampler' ? [SAMPLER_WORDS, SAMPLER_NAMES] : [SCHEDULER_WORDS, SCHEDULER_NAMES];
  const key = normalise(name);
  const nearest = names.find((one) =>
    nearestKeys(words, one).some((other) => key === other || isWithEnding(key, other)),
  );
  if (nearest) return `There is no such ${kind} here; the nearest is '${nearest}'`;
  const labels = Object.values(words).flatMap(({ label }) => label ?? []);
  const near = closest(name, names) ?? closest(name, labels);
  return near && `Did you mean '${near}'?`;
}

/** The word of image metadata for a name of ours; any other name stays. */
export const toMetadataName = {
  sampler: (name: string) => (SAMPLER_WORDS as Readonly<Record<string, Names>>)[name]?.label ?? name,
  scheduler: (name: string) => (SCHEDULER_WORDS as Readonly<Record<string, Names>>)[name]?.label ?? name,
};

function normalise(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/^k[_ ]/, '')
    .replaceAll('+', 'p')
    .replace(/[\s_-]/g, '');
}

function keysOf<Name extends string>(words: Readonly<Record<Name, Names>>): Map<string, Name> {
  const entries = Object.entries(words) as [Name, Names][];
  return new Map(
    entries.flatMap(([name, { label = name, also = [] }]) =>
      [name, label, ...also].map((word) => [normalise(word), name] as const),
    ),
  );
}

function nearestKeys(words: Readonly<Record<string, Names>>, name: string): string[] {
  return (words[name]?.nearest ?? []).map(normalise);
}

/** `DPM++ SDE Karras` is as near to ours as `DPM++ SDE`. */
function isWithEnding(key: string, start: string): boolean {
  return key.startsWith(start) && ENDINGS.some(([ending]) => key === start + ending);
}

const SAMPLERS_BY_KEY = keysOf(SAMPLER_WORDS);
const SCHEDULERS_BY_KEY = keysOf(SCHEDULER_WORDS);
/** Each ending and its schedule; undefined for the sampler's own. */
const ENDINGS: readonly (readonly [string, SchedulerName | undefined])[] = [
  ...SCHEDULERS_BY_KEY,
  ...Object.entries(SHORT_ENDINGS),
  [AUTOMATIC, undefined],
];
