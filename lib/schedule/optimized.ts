// Optimized schedules, published as tables of sigmas for the noise levels of Stable Diffusion.

import { argumentError } from '../core/errors.ts';
import { type SigmaLevels, SigmaTable } from '../noise-model/index.ts';
import { endAtZero, linspace, type Schedule } from './types.ts';

/**
 * "Align Your Steps" (Sabour et al. 2024, arXiv:2404.14507): the ten steps that its authors published for SD 1.5,
 * interpolated log-linearly for any other number of steps. The final 0 replaces the last level. The extremes are those
 * of the table, not of the model, as in stable-diffusion.cpp and ComfyUI.
 */
export const alignYourSteps: Schedule = (steps, table) => {
  requireDiffusion(table);
  return endAtZero(interpolateLogLinearly(alignYourStepsLevels, steps + 1).slice(0, -1));
};

/**
 * GITS (Chen et al. 2024, "On the Trajectory Regularity of ODE-based Diffusion Sampling", arXiv:2405.11326): the
 * published table for a coefficient of 1.20, and above 20 steps its longest row, interpolated log-linearly. The final 0
 * replaces the last level, and a single step goes from the first level to 0.
 */
export const gits: Schedule = (steps, table) => {
  requireDiffusion(table);
  const inner = gitsLevels[Math.min(steps, 20) - 2] ?? [];
  return endAtZero(interpolateLogLinearly([gitsFirst, ...inner, gitsLast], steps + 1).slice(0, -1));
};

/** The published levels go up to 14.6, but those of a flow model end at 1. */
function requireDiffusion(table: SigmaLevels): void {
  if (SigmaTable.is(table)) return;
  const expected = 'a schedule for flow models, such as simple or sgm_uniform,';
  const received = 'one that was published for the noise levels of Stable Diffusion';
  throw argumentError([{ name: 'scheduler', expected, received, code: 'ERR_INVALID_ARG_VALUE' }]);
}

/**
 * `count` levels, interpolated linearly in log(sigma) between the given decreasing ones; `levels` itself if the count
 * is the same.
 */
function interpolateLogLinearly(levels: readonly number[], count: number): readonly number[] {
  if (count === levels.length) return levels;
  return linspace(0, levels.length - 1, count).map((position) => {
    const low = Math.min(Math.floor(position), levels.length - 2);
    const w = position - low;
    return (levels[low] as number) ** (1 - w) * (levels[low + 1] as number) ** w;
  });
}

const alignYourStepsLevels: readonly number[] = [
  14.6146412293, 6.4745760956, 3.8636745985, 2.694615152, 1.8841921177, 1.3943805092, 0.9642583904, 0.6523686016,
  0.3977456272, 0.1515232662, 0.0291671582,
];

const gitsFirst = 14.61464119;
const gitsLast = 0.02916753;

/** Sigmas between the first and the last level, by number of steps from 2 to 20. */
const gitsLevels: readonly (readonly number[])[] = [
  [0.803307],
  [1.56271636, 0.52423614],
  [2.36326075, 0.92192322, 0.36617002],
  [2.84484982, 1.24153244, 0.59516323, 0.25053367],
  [5.85520077, 2.05039096, 0.95350921, 0.45573691, 0.17026083],
  [5.85520077, 2.45070267, 1.24153244, 0.64427125, 0.29807833, 0.09824532],
  [5.85520077, 2.45070267, 1.36964464, 0.803307, 0.45573691, 0.25053367, 0.09824532],
  [5.85520077, 2.84484982, 1.61558151, 0.95350921, 0.59516323, 0.36617002, 0.19894916, 0.09824532],
  [5.85520077, 2.84484982, 1.67050016, 1.08895338, 0.74807048, 0.50118381, 0.32104823, 0.19894916, 0.09824532],
  [
    5.85520077, 2.95596409, 1.84880662, 1.24153244, 0.83188516, 0.59516323, 0.41087446, 0.27464288, 0.17026083,
    0.09824532,
  ],
  [
    5.85520077, 3.07277966, 1.98035145, 1.36964464, 0.95350921, 0.69515091, 0.50118381, 0.36617002, 0.25053367,
    0.17026083, 0.09824532,
  ],
  [
    6.77309084, 3.46139455, 2.36326075, 1.56271636, 1.08895338, 0.803307, 0.59516323, 0.45573691, 0.34370604,
    0.25053367, 0.17026083, 0.09824532,
  ],
  [
    6.77309084, 3.46139455, 2.45070267, 1.61558151, 1.162866, 0.86115354, 0.64427125, 0.50118381, 0.38853383,
    0.29807833, 0.22545385, 0.17026083, 0.09824532,
  ],
  [
    7.49001646, 4.65472794, 3.07277966, 2.12350607, 1.51179266, 1.08895338, 0.83188516, 0.64427125, 0.50118381,
    0.38853383, 0.29807833, 0.22545385, 0.17026083, 0.09824532,
  ],
  [
    7.49001646, 4.65472794, 3.07277966, 2.12350607, 1.51179266, 1.08895338, 0.83188516, 0.64427125, 0.50118381,
    0.41087446, 0.32104823, 0.25053367, 0.19894916, 0.13792117, 0.09824532,
  ],
  [
    7.49001646, 4.65472794, 3.07277966, 2.12350607, 1.51179266, 1.08895338, 0.83188516, 0.64427125, 0.50118381,
    0.41087446, 0.34370604, 0.27464288, 0.22545385, 0.17026083, 0.13792117, 0.09824532,
  ],
  [
    7.49001646, 4.65472794, 3.07277966, 2.19988537, 1.61558151, 1.20157266, 0.92192322, 0.72133851, 0.57119018,
    0.45573691, 0.36617002, 0.29807833, 0.25053367, 0.19894916, 0.17026083, 0.13792117, 0.09824532,
  ],
  [
    7.49001646, 4.65472794, 3.07277966, 2.19988537, 1.61558151, 1.24153244, 0.95350921, 0.74807048, 0.59516323,
    0.4783645, 0.38853383, 0.32104823, 0.27464288, 0.22545385, 0.19894916, 0.17026083, 0.13792117, 0.09824532,
  ],
  [
    7.49001646, 4.65472794, 3.07277966, 2.19988537, 1.61558151, 1.24153244, 0.95350921, 0.74807048, 0.59516323,
    0.50118381, 0.41087446, 0.34370604, 0.29807833, 0.25053367, 0.22545385, 0.19894916, 0.17026083, 0.13792117,
    0.09824532,
  ],
];
