// A second pass, and what enlarges the image for it.

import type { Size } from '../image/resize.ts';
import type { Upscaler } from '../upscaler/upscaler.ts';

/** The checked options of a second pass, with all defaults. */
export interface CheckedHires {
  readonly size: Size;
  readonly steps: number;
  readonly denoisingStrength: number;
  /** Name, or path with a point or a slash in it. */
  readonly upscaler: string | Upscaler;
}

/** Upscalers that need no file. */
export type HiresUpscaler = 'latent' | 'latent-nearest' | 'latent-bicubic' | 'lanczos';

/** The names in the order in which they are listed to users. */
export const HIRES_UPSCALERS: readonly HiresUpscaler[] = ['latent', 'latent-nearest', 'latent-bicubic', 'lanczos'];

/** What AUTOMATIC1111's web UI and stable-diffusion.cpp call them. */
const LABELS: Readonly<Record<HiresUpscaler, string>> = {
  latent: 'Latent',
  'latent-nearest': 'Latent (nearest)',
  'latent-bicubic': 'Latent (bicubic)',
  lanczos: 'Lanczos',
};

/** The word for an upscaler in image metadata; undefined for a file. */
export function hiresLabel(name: string): string | undefined {
  return HIRES_UPSCALERS.some((known) => known === name) ? LABELS[name as HiresUpscaler] : undefined;
}

/** The upscaler that a name or word means, in any case; undefined for a file. */
export function findHiresUpscaler(name: string): HiresUpscaler | undefined {
  const word = name.trim().toLowerCase();
  return HIRES_UPSCALERS.find((known) => known === word || LABELS[known].toLowerCase() === word);
}
