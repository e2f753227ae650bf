// Images through the VAE encoder.

import { type Pixels, toPlanes } from '../image/pixels.ts';
import type { Size } from '../image/resize.ts';
import type { Networks } from '../native/networks.ts';
import type { Posterior } from './initial-latents.ts';

/** Runs the VAE encoder over an image, once for all images of a batch. */
export async function encodeImage(networks: Networks, image: Pixels): Promise<Posterior> {
  return encodePlanes(networks, await toPlanes(image), image);
}

/** The same of planes `[3, height, width]` of -1..1. */
export async function encodePlanes(
  networks: Networks,
  planes: Float32Array,
  { width, height }: Size,
): Promise<Posterior> {
  const moments = await networks.encode(planes, [1, 3, height, width]);
  return { moments, scalingFactor: networks.info.scalingFactor };
}
