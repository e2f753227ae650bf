// Ancestral steps: go down further than the next sigma, then put noise back.

import type { SamplerContext } from './types.ts';
import { linear } from './walk.ts';

/**
 * Splits the way to the noise level `next` into a deterministic part down to `down` and fresh noise of standard
 * deviation `up`, where down^2 + up^2 = next^2 (k-diffusion's get_ancestral_step; equals DDIM's eta, Song et al. 2020,
 * arXiv:2010.02502, eq. 16).
 */
export function ancestralStep(sigma: number, next: number, eta: number): { down: number; up: number } {
  const up = Math.min(next, eta * next * Math.sqrt(Math.max(1 - (next / sigma) ** 2, 0)));
  return { down: Math.sqrt(Math.max(next * next - up * up, 0)), up };
}

/**
 * The latent with fresh noise of standard deviation `up`. Draws only where there is noise to add, as the seed's
 * images ask.
 */
export function addNoise(latent: Float32Array, up: number, context: SamplerContext): Float32Array {
  return up > 0 ? linear([1, latent], [up, context.noise()]) : latent;
}
