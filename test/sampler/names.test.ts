// Names of samplers and schedules: those of other programs mean ours where they are the same method.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SAMPLER_NAMES, type SamplerName } from '../../lib/sampler/index.ts';
import { adviceOnName, findSampler, findScheduler, toMetadataName } from '../../lib/sampler/names.ts';
import { SCHEDULER_NAMES, type SchedulerName } from '../../lib/schedule/index.ts';

const samplers: Record<SamplerName, string[]> = {
  euler: ['Euler', 'euler', 'k_euler', 'EULER', 'EulerDiscreteScheduler'],
  euler_a: [
    ...[
      'Euler a',
      'Euler A',
      'euler_a',
      'k_euler_a',
      'k_euler_ancestral',
      'euler_ancestral',
      'Euler-Ancestral',
      'eulera',
    ],
    ...[' Euler a ', 'EulerAncestralDiscreteScheduler'],
  ],
  heun: ['Heun', 'heun', 'k_heun', 'HeunDiscreteScheduler'],
  dpm2: ['DPM2', 'dpm_2', 'k_dpm_2', 'kdpm_2', 'KDPM2DiscreteScheduler'],
  'dpm++2s_a': ['DPM++ 2S a', 'dpmpp_2s_ancestral', 'k_dpmpp_2s_a', 'dpm++2s_a'],
  'dpm++2m': ['DPM++ 2M', 'dpmpp_2m', 'k_dpmpp_2m', 'DPM++ 2m', 'dpm++_2m', 'DPMSolverMultistepScheduler'],
  'dpm++2mv2': ['dpm++2mv2', 'DPM++ 2M v2'],
  'dpm++2m_sde': ['DPM++ 2M SDE', 'dpmpp_2m_sde', 'dpmpp_2m_sde_gpu', 'k_dpmpp_2m_sde'],
  lms: ['LMS', 'k_lms', 'LMSDiscreteScheduler'],
  ipndm: ['ipndm', 'IPNDM'],
  ipndm_v: ['ipndm_v', 'IPNDM_V'],
  ddim_trailing: ['ddim_trailing', 'DDIM trailing'],
  lcm: ['LCM', 'lcm', 'LCMScheduler'],
  tcd: ['TCD', 'TCDScheduler'],
};

const schedulers: Record<SchedulerName, string[]> = {
  discrete: ['Uniform', 'Normal', 'normal', 'discrete'],
  karras: ['Karras', 'karras', 'KARRAS'],
  exponential: ['Exponential', 'exponential', 'Polyexponential'],
  sgm_uniform: ['SGM Uniform', 'SGMUniform', 'sgm_uniform'],
  simple: ['Simple', 'simple'],
  ays: ['Align Your Steps', 'align_your_steps', 'ays'],
  gits: ['gits', 'GITS'],
  kl_optimal: ['KL Optimal', 'kl_optimal'],
  smoothstep: ['smoothstep'],
  beta: ['Beta', 'beta'],
  lcm: ['lcm'],
};

test('a sampler is found by the name that each program has for it', () => {
  for (const [sampler, names] of Object.entries(samplers)) {
    for (const name of [...names, sampler, toMetadataName.sampler(sampler)]) {
      assert.deepEqual(findSampler(name), { sampler }, name);
    }
  }
});

test('a schedule is found by the name that each program has for it', () => {
  for (const [scheduler, names] of Object.entries(schedulers)) {
    for (const name of [...names, scheduler, toMetadataName.scheduler(scheduler)]) {
      assert.equal(findScheduler(name, 'euler'), scheduler, name);
    }
  }
});

test('a name may say sampler and schedule', () => {
  const both: [string, SamplerName, SchedulerName][] = [
    ['DPM++ 2M Karras', 'dpm++2m', 'karras'],
    ['DPM++ 2M SDE Exponential', 'dpm++2m_sde', 'exponential'],
    ['Euler a Karras', 'euler_a', 'karras'],
    ['LMS Karras', 'lms', 'karras'],
    ['euler_a karras', 'euler_a', 'karras'],
    ['euler_a discrete', 'euler_a', 'discrete'],
    ['dpm++2m sgm_uniform', 'dpm++2m', 'sgm_uniform'],
    ['dpmpp_2m_k', 'dpm++2m', 'karras'],
    ['k_dpmpp_2m_ka', 'dpm++2m', 'karras'],
    ['k_dpmpp_2m_sde_exp', 'dpm++2m_sde', 'exponential'],
    ['kdpm_2_k', 'dpm2', 'karras'],
    ['DPM++ 2M Automatic', 'dpm++2m', 'karras'],
  ];
  for (const [name, sampler, scheduler] of both) assert.deepEqual(findSampler(name), { sampler, scheduler }, name);
  for (const sampler of SAMPLER_NAMES) {
    for (const scheduler of SCHEDULER_NAMES) {
      const name = `${toMetadataName.sampler(sampler)} ${toMetadataName.scheduler(scheduler)}`;
      assert.deepEqual(findSampler(name), { sampler, scheduler }, name);
    }
  }
});

// modules/sd_samplers_kdiffusion.py of the web UI 1.9 and later: the sampler's own `scheduler`, else the model's levels.
test('Automatic is the schedule that the web UI takes with the sampler', () => {
  const automatic: Partial<Record<SamplerName, SchedulerName>> = {
    ...{ euler: 'discrete', euler_a: 'discrete', heun: 'discrete', lms: 'discrete' },
    ...{ dpm2: 'karras', 'dpm++2s_a': 'karras', 'dpm++2m': 'karras', 'dpm++2m_sde': 'exponential' },
  };
  for (const [sampler, scheduler] of Object.entries(automatic)) {
    assert.equal(findScheduler('Automatic', sampler as SamplerName), scheduler, sampler);
  }
  assert.equal(findScheduler('automatic', undefined), 'discrete');
  assert.equal(findScheduler('Automatic', 'dpm++2m', 'exponential'), 'exponential');
  assert.equal(findScheduler('Automatic', 'lcm'), undefined);
});

test('unsupported methods are not names of others, and the nearest is suggested', () => {
  const absent: [kind: 'sampler' | 'scheduler', name: string, nearest: string][] = [
    ['sampler', 'UniPC', 'dpm++2m'],
    ['sampler', 'uni_pc_bh2', 'dpm++2m'],
    ['sampler', 'DDIM', 'ddim_trailing'],
    ['sampler', 'DDIM CFG++', 'ddim_trailing'],
    ['sampler', 'DDIMScheduler', 'ddim_trailing'],
    ['sampler', 'PLMS', 'ipndm'],
    ['sampler', 'DPM++ SDE', 'dpm++2s_a'],
    ['sampler', 'DPM++ SDE Karras', 'dpm++2s_a'],
    ['sampler', 'DPM++ 2M SDE Heun', 'dpm++2m_sde'],
    ['sampler', 'DPM++ 3M SDE Exponential', 'dpm++2m_sde'],
    ['sampler', 'DPM adaptive', 'dpm++2m'],
    ['sampler', 'DPM2 a', 'dpm2'],
    ['sampler', 'k_dpm_2_a', 'dpm2'],
    ['sampler', 'euler_cfg_pp', 'euler'],
    ['sampler', 'Restart', 'heun'],
    ['scheduler', 'DDIM', 'discrete'],
    ['scheduler', 'ddim_uniform', 'discrete'],
    ['scheduler', 'Turbo', 'simple'],
    ['scheduler', 'Align Your Steps GITS', 'ays'],
  ];
  for (const [kind, name, nearest] of absent) {
    assert.equal(kind === 'sampler' ? findSampler(name) : findScheduler(name, 'euler'), undefined, name);
    assert.equal(adviceOnName(kind, name), `This ${kind} is not supported; the nearest is '${nearest}'`, name);
  }
  assert.equal(adviceOnName('sampler', 'eulr'), "Did you mean 'euler'?");
  assert.equal(adviceOnName('scheduler', 'karas'), "Did you mean 'karras'?");
  for (const name of ['', ' ', 'k_', 'constructor', '__proto__', 'x'.repeat(1e6), 'Karras', '+']) {
    assert.equal(findSampler(name), undefined);
    adviceOnName('sampler', name);
  }
});
