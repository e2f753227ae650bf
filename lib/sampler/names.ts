// Names of samplers and schedules in AUTOMATIC1111's web UI, ComfyUI, diffusers, InvokeAI and stable-diffusion.cpp.

import { closest } from '../core/errors.ts';
import { SCHEDULER_NAMES, type SchedulerName } from '../schedule/index.ts';
import { SAMPLER_NAMES, type SamplerName } from './index.ts';

/** Other names of a method. Case, spaces, `_`, `-` and a leading `k_` are ignored, and `+` equals `p`. */
interface Names {
  /** The web UI's name, used in image metadata. Default: our name. */
  readonly label?: string;
  /** Other names of the same method. */
  readonly also?: readonly string[];
  /** Unsupported methods to which this one is nearest. */
  readonly nearest?: readonly string[];
}

interface SamplerNames extends Names {
  /** The schedule that `Automatic` selects for it in the web UI, since version 1.9 (sd_samplers_kdiffusion.py). */
  readonly automatic?: SchedulerName;
}

const SAMPLER_TABLE: Readonly<Record<SamplerName, SamplerNames>> = {
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
  // Neither the DDIM of the web UI, which ends at the first training step, nor that of diffusers, which has other
  // timesteps.
  ddim_trailing: { automatic: 'simple', nearest: ['DDIM', 'DDIMScheduler', 'DDIM CFG++'] },
  // `Automatic` is the web UI's own spacing of the distilled timesteps, which is not supported.
  lcm: { label: 'LCM', also: ['LCMScheduler'] },
  tcd: { label: 'TCD', also: ['TCDScheduler'], automatic: 'lcm' },
};

const SCHEDULER_TABLE: Readonly<Record<SchedulerName, Names>> = {
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
  // `Automatic` is a supported schedule for every sampler except `lcm`.
  lcm: { nearest: ['tcd', 'Automatic'] },
};

/** Suffixes of sampler names that select a schedule, besides its names: `dpmpp_2m_k`, `k_dpmpp_2m_sde_exp`. */
const SHORT_SUFFIXES: Readonly<Record<string, SchedulerName>> = { k: 'karras', ka: 'karras', exp: 'exponential' };

/** The web UI's name for the default schedule of a sampler. */
const AUTOMATIC = 'automatic';
const MAX_LENGTH = 64;

/** A sampler found by its name, and the schedule if the name includes one. */
export interface NamedSampler {
  readonly sampler: SamplerName;
  readonly scheduler?: SchedulerName;
}

/**
 * Finds a sampler by its name in this or another program. `DPM++ 2M Karras` includes a schedule.
 *
 * @returns undefined if there is no such sampler.
 */
export function findSampler(name: string): NamedSampler | undefined {
  if (name.length > MAX_LENGTH) return undefined;
  const key = normalise(name);
  const sampler = SAMPLERS_BY_KEY.get(key);
  if (sampler) return { sampler };
  for (const [suffix, own] of SUFFIXES) {
    const named = key.endsWith(suffix) && SAMPLERS_BY_KEY.get(key.slice(0, -suffix.length));
    const scheduler = named && (own ?? SAMPLER_TABLE[named].automatic);
    if (named && scheduler) return { sampler: named, scheduler };
  }
  return undefined;
}

/**
 * Finds a schedule by its name in this or another program. `Automatic` is the web UI's default for the sampler.
 *
 * @param sampler undefined for a custom one, which uses the model's own levels.
 * @param included the schedule in the sampler's name, which `Automatic` keeps.
 * @returns undefined if there is no such schedule.
 */
export function findScheduler(
  name: string,
  sampler: SamplerName | undefined,
  included?: SchedulerName,
): SchedulerName | undefined {
  if (name.length > MAX_LENGTH) return undefined;
  const key = normalise(name);
  if (key === AUTOMATIC) return included ?? (sampler === undefined ? 'discrete' : SAMPLER_TABLE[sampler].automatic);
  return SCHEDULERS_BY_KEY.get(key);
}

/** Whether a name selects the default schedule of the sampler. */
export function isAutomatic(name: string): boolean {
  return name.length <= MAX_LENGTH && normalise(name) === AUTOMATIC;
}

/** A remedy for an unknown name: the nearest method, or the most similar name. */
export function adviceOnName(kind: 'sampler' | 'scheduler', name: string): string | undefined {
  if (name.length > MAX_LENGTH) return undefined;
  const [table, names] = kind === 'sampler' ? [SAMPLER_TABLE, SAMPLER_NAMES] : [SCHEDULER_TABLE, SCHEDULER_NAMES];
  const key = normalise(name);
  const nearest = names.find((one) => nearestKeys(table, one).some((other) => key === other || hasSuffix(key, other)));
  if (nearest) return `This ${kind} is not supported; the nearest is '${nearest}'`;
  const labels = Object.values(table).flatMap(({ label }) => label ?? []);
  const near = closest(name, names) ?? closest(name, labels);
  return near && `Did you mean '${near}'?`;
}

/** Converts our names to those in image metadata; other names stay the same. */
export const toMetadataName = {
  sampler: (name: string) => (SAMPLER_TABLE as Readonly<Record<string, Names>>)[name]?.label ?? name,
  scheduler: (name: string) => (SCHEDULER_TABLE as Readonly<Record<string, Names>>)[name]?.label ?? name,
};

function normalise(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/^k[_ ]/, '')
    .replaceAll('+', 'p')
    .replace(/[\s_-]/g, '');
}

function keysOf<Name extends string>(table: Readonly<Record<Name, Names>>): Map<string, Name> {
  const entries = Object.entries(table) as [Name, Names][];
  return new Map(
    entries.flatMap(([name, { label = name, also = [] }]) =>
      [name, label, ...also].map((word) => [normalise(word), name] as const),
    ),
  );
}

function nearestKeys(table: Readonly<Record<string, Names>>, name: string): string[] {
  return (table[name]?.nearest ?? []).map(normalise);
}

/** `DPM++ SDE Karras` has the same nearest method as `DPM++ SDE`. */
function hasSuffix(key: string, start: string): boolean {
  return key.startsWith(start) && SUFFIXES.some(([suffix]) => key === start + suffix);
}

const SAMPLERS_BY_KEY = keysOf(SAMPLER_TABLE);
const SCHEDULERS_BY_KEY = keysOf(SCHEDULER_TABLE);
/** Each suffix and its schedule; undefined for the sampler's default. */
const SUFFIXES: readonly (readonly [string, SchedulerName | undefined])[] = [
  ...SCHEDULERS_BY_KEY,
  ...Object.entries(SHORT_SUFFIXES),
  [AUTOMATIC, undefined],
];
