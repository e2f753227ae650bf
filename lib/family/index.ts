// The model families. To add one, add a file here and an entry in the list.

import { DiffusionError } from '../core/errors.ts';
import type { LoadedModelInfo } from '../native/contract.ts';
import type { Family } from './family.ts';
import { sd1 } from './sd1.ts';
import { sd2 } from './sd2.ts';
import { sdxl } from './sdxl.ts';
import { sdxlRefiner } from './sdxl-refiner.ts';
import { zImage } from './z-image.ts';

export type { Family, FamilyOption, LatentFormat, Projection, SizeConditioning } from './family.ts';

const FAMILIES: readonly Family[] = [sd1, sd2, sdxl, sdxlRefiner, zImage];

/** Suffix of a family's name for the UNet's concat conditioning. */
const TASK = /-(inpaint|edit|depth)$/;

/**
 * The family of a model.
 *
 * @throws DiffusionError `ERR_MODEL_UNSUPPORTED` if the family is unknown.
 */
export function familyOf({ family }: Pick<LoadedModelInfo, 'family'>): Family {
  const name = family.replace(TASK, '');
  const found = FAMILIES.find((one) => one.name === name);
  if (found) return found;
  const names = FAMILIES.map((one) => one.name).join(', ');
  throw new DiffusionError('ERR_MODEL_UNSUPPORTED', `Expected a model of the families ${names} but received '${name}'`);
}
