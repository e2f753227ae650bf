// Control images: from a file to the network's input, and the steps in which each ControlNet is active.

import { argumentError } from '../core/errors.ts';
import type { DepthSource } from '../depth/depth-source.ts';
import { readImage } from '../image/input.ts';
import { crop, type Pixels, toPlanes, toRgb } from '../image/pixels.ts';
import { lanczos3, type Rectangle } from '../image/resample.ts';
import { place, resize, type Size } from '../image/resize.ts';
import type { NativeHandle } from '../native/contract.ts';
import type { ControlImage, Networks, Shape } from '../native/networks.ts';
import { findEdges } from './canny.ts';
import type { CheckedControl } from './options.ts';

/** A control with its image as the network's input. */
export interface Control extends CheckedControl {
  /** `[1, 3, height, width]`, 0..1. */
  readonly hint: Float32Array;
  readonly shape: Shape;
}

/** What a control image must fit. */
export interface View {
  /** Size in pixels of the generated image. */
  readonly size: Size;
  /** The generated region, if it is only a part of the image: control images cover the whole image. */
  readonly part?: { readonly of: Size; readonly region: Rectangle } | undefined;
}

/** The controls of one step. */
export type ControlsAt = (step: number, total: number) => readonly ControlImage[];

/**
 * Reads control images, and later fits them to the generated size.
 *
 * @param depth estimates depth for controls that require it.
 * @throws DiffusionError, RangeError like {@link readImage}, {@link DepthSource.estimator}; RangeError for an image of
 *   another size that may not be resized.
 */
export async function readControls(
  controls: readonly CheckedControl[],
  view: Promise<View>,
  depth: DepthSource,
  signal: AbortSignal,
): Promise<Control[]> {
  const reading = controls.map(async ({ image, maxPixels }, i) =>
    toRgb(await readImage(image, `controls[${i}].image`, maxPixels)),
  );
  const images = await Promise.all(reading);
  const fitting = await view;
  const read: Control[] = [];
  for (const [i, control] of controls.entries()) {
    const fitted = await fit(images[i] as Pixels, control, fitting, `controls[${i}].image`);
    const hint = await preprocess(fitted, control, depth, signal);
    read.push({ ...control, hint: await toPlanes(hint, 0), shape: [1, 3, hint.height, hint.width] });
  }
  return read;
}

/** The input that a ControlNet gets for an image. */
async function preprocess(
  image: Pixels,
  { preprocessor, canny }: CheckedControl,
  depth: DepthSource,
  signal: AbortSignal,
): Promise<Pixels> {
  if (preprocessor === 'none') return image;
  if (preprocessor === 'canny') return findEdges(image, canny);
  const estimator = await depth.estimator();
  return { ...(await (await estimator.estimateOf(image, signal)).image()), channels: 3 };
}

/**
 * Opens the ControlNets of a run.
 *
 * @returns the controls that are active in each step, counted from 0.
 */
export async function openControls(networks: Networks, controls: readonly Control[]): Promise<ControlsAt> {
  if (controls.length === 0) return () => [];
  const nets = await networks.openControlNets(controls.map(({ model }) => model));
  return (step, total) =>
    controls
      .filter(({ strength, start, end }) => strength > 0 && step / total >= start && (step + 1) / total <= end)
      .map(({ model, hint, shape, strength }) => ({ net: nets.get(model) as NativeHandle, hint, shape, strength }));
}

async function fit(image: Pixels, { resizeMode }: CheckedControl, { size, part }: View, name: string): Promise<Pixels> {
  const whole = part?.of ?? size;
  if (resizeMode === 'none' && (image.width !== whole.width || image.height !== whole.height)) {
    const expected = `an image of ${whole.width} x ${whole.height}, since it may not be resized,`;
    const received = `${image.width} x ${image.height}`;
    throw argumentError([{ name, expected, received, code: 'ERR_INVALID_ARG_VALUE' }]);
  }
  const resized = await resize(image, place(image, whole, resizeMode), lanczos3);
  if (!part) return resized;
  return resize(await crop(resized, part.region), place(part.region, size, 'fit'), lanczos3);
}
