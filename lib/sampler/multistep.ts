// Linear multistep samplers: one network evaluation per step, and the derivatives of up to three previous steps.

import { linear } from '../core/arrays.ts';
import type { Sampler } from './types.ts';
import { derivative, walk } from './walk.ts';

/**
 * Linear multistep: Adams-Bashforth of order 4 on uneven sigmas (k-diffusion's sample_lms). stable-diffusion.cpp pairs
 * coefficients with derivatives one step too late and does not converge with more steps, so its images differ.
 */
export const lms: Sampler = (denoise, x, sigmas, context) => {
  const derivatives = newestFirst(4);
  return walk(x, sigmas, context, async (x, sigma, next, index) => {
    const denoised = await denoise(x, sigma);
    const d = derivatives(derivative(x, denoised, sigma));
    const nodes = Array.from(sigmas.subarray(index + 1 - d.length, index + 1)).reverse();
    const terms = d.map((vector, j) => [lagrangeIntegral(nodes, j, sigma, next), vector] as const);
    return { denoised, latent: linear([1, x], ...terms) };
  });
};

/** Adams-Bashforth coefficients of orders 1 to 4 for equal steps, newest first. */
const ADAMS_BASHFORTH = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]];

/** Improved PNDM: Adams-Bashforth of order 4 as if the steps were equal (Zhang and Chen 2022, arXiv:2204.13902). */
export const ipndm: Sampler = pndm((even) => even);

/**
 * IPNDM with coefficients for unequal steps at order 2. Follows stable-diffusion.cpp; ComfyUI's ipndm_v
 * adapts the third and fourth order too.
 */
export const ipndmV: Sampler = pndm((even, step, lastStep) => {
  const r = step / lastStep;
  return even.length === 2 ? [(2 + r) / 2, -r / 2] : even;
});

/**
 * `adapt` converts the coefficients for equal steps to those for a step of length `step` after one of length
 * `lastStep`.
 */
function pndm(adapt: (even: readonly number[], step: number, lastStep: number) => readonly number[]): Sampler {
  return (denoise, x, sigmas, context) => {
    const derivatives = newestFirst(4);
    return walk(x, sigmas, context, async (x, sigma, next, index) => {
      const denoised = await denoise(x, sigma);
      const d = derivatives(derivative(x, denoised, sigma));
      const step = next - sigma;
      const lastStep = index > 0 ? sigma - (sigmas[index - 1] as number) : step;
      const coefficients = adapt(ADAMS_BASHFORTH[d.length - 1] as readonly number[], step, lastStep);
      const terms = d.map((vector, j) => [step * (coefficients[j] as number), vector] as const);
      return { denoised, latent: linear([1, x], ...terms) };
    });
  };
}

/** Keeps the last `order` vectors: takes a new one and returns all, newest first. */
function newestFirst(order: number): (vector: Float32Array) => readonly Float32Array[] {
  let history: readonly Float32Array[] = [];
  return (vector) => {
    history = [vector, ...history].slice(0, order);
    return history;
  };
}

/**
 * Integral from `from` to `to` of the Lagrange basis polynomial that is 1 at node j and 0 at the others. Gauss-Legendre
 * with two points is exact up to degree 3, so for four nodes.
 */
function lagrangeIntegral(nodes: readonly number[], j: number, from: number, to: number): number {
  const half = (to - from) / 2;
  const own = nodes[j] as number;
  const basis = (t: number) =>
    nodes.reduce((product, node, k) => (k === j ? product : (product * (t - node)) / (own - node)), 1);
  const offset = half / Math.sqrt(3);
  return half * (basis(from + half - offset) + basis(from + half + offset));
}
