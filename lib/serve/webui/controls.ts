// The units of the web UI's extension for ControlNets as controls.

import { argumentError, describe } from '../../core/errors.ts';
import { withoutUndefined } from '../../core/values.ts';
import type { Fields } from '../fields.ts';
import { imageBytes } from '../given-images.ts';

/** What the extension calls the modes of `resizeMode`, by their numbers and without their notes. */
const RESIZE_MODES = { 'just resize': 'stretch', 'crop and resize': 'fill', 'resize and fill': 'fit' } as const;
const OLD_NAMES: Readonly<Record<string, keyof typeof RESIZE_MODES>> = {
  'scale to fit': 'crop and resize',
  'inner fit': 'crop and resize',
  envelope: 'resize and fill',
  'outer fit': 'resize and fill',
};

/** The preprocessors that there are, by what the extension's begin with. */
export const MODULES = ['none', 'canny', 'depth'] as const;

/**
 * The controls of a request.
 *
 * @param scripts the extensions that the request is for. Others than that for ControlNets are refused.
 * @param initial the image that the request starts from, which units without one take.
 */
export function toControls(scripts: Fields, initial: Uint8Array | undefined): object[] | undefined {
  const units = ['ControlNet', 'controlnet', 'ControlNET'].flatMap((name) => scripts.object(name).objects('args'));
  scripts.refuse(scripts.unknown().map((name) => name.split('.').at(-1) as string));
  const controls = units.filter((unit) => unit.flag('enabled') ?? true).flatMap((unit) => toControl(unit, initial));
  return controls.length > 0 ? controls : undefined;
}

function toControl(unit: Fields, initial: Uint8Array | undefined): object[] {
  const model = unit.text('model')?.replace(/ \[\w+\]$/, '');
  // An image that is left out is an empty text to some clients.
  const own = unit.take('input_image') || unit.take('image') || undefined;
  const module = toModule(unit);
  const mode = unit.take('control_mode');
  unit.ignore('input_image', 'image', 'low_vram', 'lowvram', 'pixel_perfect', 'processor_res', 'save_detected_map');
  unit.ignore('hr_option', 'guessmode', 'batch_images', 'output_dir', 'is_ui', 'input_mode', 'use_preview_as_input');
  // webuiapi sends the list of modes there are.
  if (!Array.isArray(mode)) unit.refuse(['control_mode'], 'Balanced', 0);
  unit.refuse(['mask', 'mask_image', 'effective_region_mask', 'ipadapter_input']);
  if (model === undefined || /^(|none)$/i.test(model)) return [];
  const image = own === undefined ? initial : imageBytes(imageIn(own), 'alwayson_scripts.ControlNet.args[].image');
  if (image === undefined) throw unit.wrong('image', 'an image', image);
  const [low, high] = [unit.number('threshold_a'), unit.number('threshold_b')];
  const thresholds = module === 'canny' && (low ?? -1) > 0 && (high ?? -1) > 0 ? { canny: { low, high } } : {};
  const control = {
    ...{ model, image, preprocessor: module, ...thresholds, resizeMode: toResizeMode(unit) },
    ...{ strength: unit.take('weight'), start: unit.take('guidance_start'), end: unit.take('guidance_end') },
  };
  return [withoutUndefined(control)];
}

/** An image alone, or with its mask. */
function imageIn(value: unknown): unknown {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? (value as { image?: unknown }).image : value;
}

function toModule(unit: Fields): (typeof MODULES)[number] {
  return moduleNamed(unit.text('module') ?? 'none', 'alwayson_scripts.ControlNet.args[].module');
}

/** @throws RangeError for a preprocessor that there is not. */
export function moduleNamed(module: string, field: string): (typeof MODULES)[number] {
  const found = MODULES.find((known) => module.toLowerCase().split('_')[0] === known);
  if (found || module === '') return found ?? 'none';
  const expected = `one of ${MODULES.join(', ')}`;
  throw argumentError([{ name: field, expected, received: describe(module), code: 'ERR_INVALID_ARG_VALUE' }]);
}

function toResizeMode(unit: Fields): string | undefined {
  const value = unit.take('resize_mode');
  if (value === undefined) return undefined;
  const names = Object.keys(RESIZE_MODES) as (keyof typeof RESIZE_MODES)[];
  const word =
    typeof value === 'number'
      ? names[value]
      : String(value)
          .toLowerCase()
          .replace(/ *\(.*/, '');
  const name = names.find((known) => known === word) ?? OLD_NAMES[String(word)];
  if (!name) throw unit.wrong('resize_mode', `0 to 2, or one of ${names.join(', ')}`, value);
  return RESIZE_MODES[name];
}
