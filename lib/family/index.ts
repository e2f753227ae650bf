// The families of models. A further one is a file beside these and its entry here.

import { DiffusionError } from '../core/errors.ts';
import type { NativeModelInfo } from '../native/contract.ts';
import type { Family } from './family.ts';
import { sd1 } from './sd1.ts';
import { sd2 } from './sd2.ts';
import { sdxl } from './sdxl.ts';
import { sdxlRefiner } from './sdxl-refiner.ts';

export type { Family, FamilyOption, LatentFormat, Projection, SizeConditioning } from './family.ts';

const FAMILIES: readonly Family[] = [sd1, sd2, sdxl, sdxlRefiner];

/** What may follow the name of a family: what the UNet takes besides a latent, which its channels tell as well. */
const TASK = /-(inpaint|edit|depth)$/;

/**
 * The family of a model.
 *
 * @throws DiffusionError `ERR_MODEL_UNSUPPORTED` where there is no record of it.
 */
export function familyOf({ family }: Pick<NativeModelInfo, 'family'>): Family {
  const name = family.replace(TASK, '');
  const found = FAMILIES.find((one) => one.name === name);
  if (found) return found;
  const names = FAMILIES.map((one) => one.name).join(', ');
  throw new DiffusionError('ERR_MODEL_UNSUPPORTED', `Expected a model of the families ${names} but received '${name}'`);
}
