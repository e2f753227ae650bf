// Pictures through the VAE encoder.

import { type Pixels, toPlanes } from '../picture/pixels.ts';
import type { Size } from '../picture/resize.ts';
import type { Networks } from './networks.ts';
import type { Posterior } from './start.ts';

/** Runs the VAE encoder over a picture, once for all pictures of a batch. */
export async function encodePicture(networks: Networks, picture: Pixels): Promise<Posterior> {
  return encodePlanes(networks, await toPlanes(picture), picture);
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
