// The options of a call for ControlNets.

import { checkImage, type ImageInput } from '../image/input.ts';
import { RESIZE_MODES, type ResizeMode } from '../image/resize.ts';
import { type OptionCheck, within } from '../options/check.ts';
import { type CannyOptions, type CheckedCannyOptions, checkCannyOptions } from './canny.ts';

/** What is computed from an image before a ControlNet sees it: see {@link ControlOptions.preprocessor}. */
export type Preprocessor = 'none' | 'canny' | 'depth';

/** The names, in the order in which users see them. */
export const PREPROCESSORS: readonly Preprocessor[] = ['none', 'canny', 'depth'];

/** A control image and the ControlNet that it conditions the model through (Zhang et al. 2023, arXiv:2302.05543). */
export interface ControlOptions {
  /**
   * Path of the ControlNet: a file with the original or diffusers' tensor names (safetensors, GGUF, `.pth`), or a
   * diffusers folder. It must be made for this model's family. It stays open for the next call: see {@link
   * Model.unloadControlNets}.
   */
  model: string;
  /**
   * The control image, in the form that the ControlNet was trained on: edges, depth, a pose, ... Transparent pixels
   * become white.
   */
  image: ImageInput;
  /** Factor of the ControlNet's contribution, 0 to 10. Default 1; 0 gives the same image as without it. */
  strength?: number | undefined;
  /**
   * The part of the steps in which it is active, as fractions of all steps of the run, 0 to 1 and `start` below `end`:
   * a step counts if it begins at `start` or later and ends at `end` or earlier, as in diffusers. Defaults 0 and 1.
   */
  start?: number | undefined;
  end?: number | undefined;
  /**
   * What is computed from `image` first: its edges (`canny`), its depth (`depth`, estimated by the `depthModel` of the
   * model's source), or nothing (`none`, default).
   */
  preprocessor?: Preprocessor | undefined;
  /** Options of the preprocessor `canny`. */
  canny?: CannyOptions | undefined;
  /** How an image of another size than the generated one is resized, as in `img2img`. Default `fill`. */
  resizeMode?: ResizeMode | undefined;
}

/** A control with every default filled in, validated. */
export interface CheckedControl {
  readonly model: string;
  readonly image: ImageInput;
  readonly maxPixels: number;
  readonly strength: number;
  readonly start: number;
  readonly end: number;
  readonly preprocessor: Preprocessor;
  readonly canny: CheckedCannyOptions;
  readonly resizeMode: ResizeMode;
}

const KEYS: readonly (keyof ControlOptions)[] = [
  ...(['model', 'image', 'strength', 'start', 'end', 'preprocessor', 'canny', 'resizeMode'] as const),
];
const MAX_CONTROLS = 8;
const MAX_STRENGTH = 10;

/**
 * Checks the option `controls`, whose images may have up to the given number of pixels; `check` collects the problems.
 */
export function checkControls(check: OptionCheck, maxPixels: number): readonly CheckedControl[] {
  const tooMany = `at most ${MAX_CONTROLS} controls`;
  const given = check.list('controls', 'an array of { model, image }', MAX_CONTROLS, tooMany) ?? [];
  const checked = given.map((control, i) => check.attempt(() => checkControl(control, `controls[${i}]`, maxPixels)));
  return checked.filter((control) => control !== undefined);
}

function checkControl(value: unknown, name: string, maxPixels: number): CheckedControl {
  const check = within(value, name, KEYS);
  const share = { min: 0, max: 1 };
  const control = {
    model: check.path(`${name}.model`),
    image: checkImage(check, `${name}.image`, maxPixels),
    maxPixels,
    strength: check.number(`${name}.strength`, 1, { min: 0, max: MAX_STRENGTH }),
    start: check.number(`${name}.start`, 0, share),
    end: check.number(`${name}.end`, 1, share),
    preprocessor: check.name(`${name}.preprocessor`, 'none', PREPROCESSORS),
    canny: check.attempt(() => checkCannyOptions(check.value(`${name}.canny`) ?? {}, `${name}.canny`)),
    resizeMode: check.name(`${name}.resizeMode`, 'fill', RESIZE_MODES),
  };
  const { start, end, preprocessor } = control;
  if (start >= end) {
    check.problem({ name: `${name}.start`, expected: `less than the end, ${end},`, received: `${start}` });
  }
  if (check.value(`${name}.canny`) !== undefined && preprocessor !== 'canny') {
    const remedy = "Set preprocessor to 'canny', or omit the options";
    check.problem({
      name: `${name}.canny`,
      expected: 'no options without that preprocessor',
      received: 'options',
      remedy,
    });
  }
  check.done();
  return control as CheckedControl;
}
