// A second pass as the text of an image has it: in the words of AUTOMATIC1111's web UI.

import { basename } from 'node:path';
import { describe } from '../core/errors.ts';
import { toNumbers, withoutUndefined } from '../core/values.ts';
import { type CheckedHires, findHiresUpscaler, hiresLabel } from './hires-upscalers.ts';
import type { MetadataColumn } from './row.ts';
import { type Fields, pairOf, type StatedValues } from './stated.ts';

export const HIRES_METADATA: MetadataColumn<CheckedHires | undefined> = {
  key: 'Hires upscaler',
  type: '',
  parameters: ({ size, steps, denoisingStrength, upscaler }) => ({
    strength: denoisingStrength,
    hires: {
      size: `${size.width}x${size.height}`,
      steps,
      upscaler:
        typeof upscaler === 'string' ? (hiresLabel(upscaler) ?? basename(upscaler)) : upscaler.info.architecture,
    },
  }),
  write: ({ hires }) => ({
    'Hires resize': hires?.size,
    'Hires steps': hires && String(hires.steps),
    'Hires upscaler': hires?.upscaler,
  }),
  read: (fields) => ({ hires: statedHires(fields) }),
  options: (values, warnings) => ({ hires: values.hires && hiresOf(values, warnings) }),
};

/** The web UI states the upscaler under `Hires upscaler`, stable-diffusion.cpp where the web UI states the scale. */
function statedHires(fields: Fields): StatedValues['hires'] {
  const upscale = fields['Hires upscale'];
  const scale = Number.isFinite(Number(upscale)) ? upscale : fields['Hires scale'];
  const upscaler = fields['Hires upscaler'] ?? (scale === upscale ? undefined : upscale);
  if (upscaler === undefined) return undefined;
  const [width, height] = pairOf(fields['Hires resize'], 'x') ?? [];
  const sides = Number(width) > 0 && Number(height) > 0 ? { width, height } : { scale };
  const steps = Number(fields['Hires steps']) > 0 ? fields['Hires steps'] : undefined;
  return { ...sides, steps, upscaler };
}

/** A second pass, unless its upscaler is a file that must be given. */
function hiresOf({ hires, strength }: StatedValues, warnings: string[]): Record<string, unknown> | undefined {
  const name = String(hires?.upscaler);
  const upscaler = findHiresUpscaler(name);
  if (!upscaler) {
    warnings.push(
      `The image was enlarged and refined with the upscaler ${describe(name)}, which must be given as hires`,
    );
    return undefined;
  }
  const { scale, width, height, steps } = hires ?? {};
  return withoutUndefined({ ...toNumbers({ scale, width, height, steps, denoisingStrength: strength }), upscaler });
}
