// Schedules that follow a curve from the model's largest to its smallest sigma, without timesteps.

import { endAtZero, linspace, type Schedule } from './types.ts';

/** Evenly spaced in sigma^(1/7) (Karras et al. 2022, "Elucidating the Design Space", eq. 5, rho = 7). */
export const karras: Schedule = (steps, { sigmaMin, sigmaMax }) => {
  const rho = 7;
  return endAtZero(linspace(sigmaMax ** (1 / rho), sigmaMin ** (1 / rho), steps).map((root) => root ** rho));
};

/** Evenly spaced in log(sigma) (k-diffusion's get_sigmas_exponential). */
export const exponential: Schedule = (steps, { sigmaMin, sigmaMax }) =>
  endAtZero(linspace(Math.log(sigmaMax), Math.log(sigmaMin), steps).map(Math.exp));

/** Evenly spaced in arctan(sigma) (Sabour et al. 2024, arXiv:2404.14507: the best schedule for Gaussian data). */
export const klOptimal: Schedule = (steps, { sigmaMin, sigmaMax }) =>
  endAtZero(linspace(Math.atan(sigmaMax), Math.atan(sigmaMin), steps).map(Math.tan));
