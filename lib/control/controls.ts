// The pictures that ControlNets follow, from a file to the network, and when each is heard.

import type { DepthSource } from '../depth/depth-source.ts';
import { argumentError } from '../errors.ts';
import type { NativeControl } from '../native/contract.ts';
import { readPicture } from '../picture/input.ts';
import { crop, type Pixels, toPlanes, toRgb } from '../picture/pixels.ts';
import { lanczos3, type Rectangle } from '../picture/resample.ts';
import { place, resize, type Size } from '../picture/resize.ts';
import type { Networks, Shape } from '../pipeline/networks.ts';
import { findEdges } from '../preprocess/canny.ts';
import type { CheckedControl } from './options.ts';

/** A control with its picture as the network takes it. */
export interface Control extends CheckedControl {
  /** `[1, 3, height, width]`, 0..1. */
  readonly hint: Float32Array;
  readonly shape: Shape;
}

/** What a control's picture must fit. */
export interface View {
  /** Size in pixels that is drawn. */
  readonly size: Size;
  /** The part of a whole picture that is drawn, where it is a part: controls are of the whole. */
  readonly part?: { readonly of: Size; readonly region: Rectangle } | undefined;
}

/** The controls of one step. */
export type ControlsAt = (step: number, total: number) => readonly NativeControl[];

/**
 * Reads the pictures of controls, and fits them to what is drawn once that is known.
 *
 * @param depth estimates depth where a control asks for that.
 * @throws DiffusionError, RangeError as {@link readPicture}, {@link DepthSource.estimator}; RangeError for a picture of another size
 *   that may not be resized.
 */
export async function readControls(
  controls: readonly CheckedControl[],
  view: Promise<View>,
  depth: DepthSource,
  signal: AbortSignal,
): Promise<Control[]> {
  const reading = controls.map(async ({ image, maxPixels }, i) =>
    toRgb(await readPicture(image, `controls[${i}].image`, maxPixels)),
  );
  const pictures = await Promise.all(reading);
  const fitting = await view;
  const read: Control[] = [];
  for (const [i, control] of controls.entries()) {
    const fitted = await fit(pictures[i] as Pixels, control, fitting, `controls[${i}].image`);
    const hint = await preprocess(fitted, control, depth, signal);
    read.push({ ...control, hint: await toPlanes(hint, 0), shape: [1, 3, hint.height, hint.width] });
  }
  return read;
}

/** What a ControlNet is shown of a picture. */
async function preprocess(
  picture: Pixels,
  { preprocessor, canny }: CheckedControl,
  depth: DepthSource,
  signal: AbortSignal,
): Promise<Pixels> {
  if (preprocessor === 'none') return picture;
  if (preprocessor === 'canny') return findEdges(picture, canny);
  const estimator = await depth.estimator();
  return { ...(await (await estimator.estimateOf(picture, signal)).picture()), channels: 3 };
}

/**
 * Opens the ControlNets of a run.
 *
 * @returns what is heard at each step, counted from 0.
 */
export async function openControls(networks: Networks, controls: readonly Control[]): Promise<ControlsAt> {
  if (controls.length === 0) return () => [];
  const paths = [...new Set(controls.map(({ model }) => model))];
  await networks.setControlNets(paths);
  return (step, total) =>
    controls
      .filter(({ strength, start, end }) => strength > 0 && step / total >= start && (step + 1) / total <= end)
      .map(({ model, hint, shape, strength }) => ({ net: paths.indexOf(model), hint, shape, strength }));
}

async function fit(
  picture: Pixels,
  { resizeMode }: CheckedControl,
  { size, part }: View,
  name: string,
): Promise<Pixels> {
  const whole = part?.of ?? size;
  if (resizeMode === 'none' && (picture.width !== whole.width || picture.height !== whole.height)) {
    const expected = `a picture of ${whole.width} x ${whole.height}, since it may not be resized,`;
    const received = `${picture.width} x ${picture.height}`;
    throw argumentError([{ name, expected, received, code: 'ERR_INVALID_ARG_VALUE' }]);
  }
  const resized = await resize(picture, place(picture, whole, resizeMode), lanczos3);
  if (!part) return resized;
  return resize(await crop(resized, part.region), place(part.region, size, 'fit'), lanczos3);
}
