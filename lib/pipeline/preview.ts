// Previews of latents during sampling: small ones by a linear projection, or full ones by an autoencoder.

import { DiffusionError } from '../core/errors.ts';
import type { Family, Projection } from '../family/index.ts';
import { RgbImage, toRgbBytes } from '../image/rgb-image.ts';
import type { LoadedModelInfo } from '../native/contract.ts';
import type { Networks, Shape } from '../native/networks.ts';
import type { PreviewKind } from '../task/run-rows.ts';
import { decodeLatents } from './latents.ts';

/** Metadata entry with which a model that has its own latent space provides its projection, as JSON. */
const METADATA_KEY = 'latent_rgb_projection';

/** Creates the function that renders latents as an image, the images of a batch side by side. */
export function createPreview(
  kind: PreviewKind,
  networks: Networks,
  family: Family,
  shape: Shape,
): (latent: Float32Array) => Promise<RgbImage> {
  if (kind === 'tae') return (latent) => decode((one, of) => networks.preview(one, of), networks, latent, shape);
  if (kind === 'vae') return (latent) => decode((one, of) => decodeLatents(networks, one, of), networks, latent, shape);
  const project = createProjection(networks.info, family, shape);
  return async (latent) => project(latent);
}

async function decode(
  decodeOne: Networks['preview'],
  networks: Networks,
  latent: Float32Array,
  [batch, channels, rows, columns]: Shape,
): Promise<RgbImage> {
  const { vaeScaleFactor: factor } = networks.info;
  const [width, height] = [columns * factor, rows * factor];
  const length = channels * rows * columns;
  const data = new Uint8Array(3 * batch * width * height);
  for (let i = 0; i < batch; i++) {
    const one = latent.subarray(i * length, (i + 1) * length);
    const bytes = await toRgbBytes(await decodeOne(one, [1, channels, rows, columns]));
    for (let y = 0; y < height; y++) {
      data.set(bytes.subarray(3 * y * width, 3 * (y + 1) * width), 3 * (y * batch + i) * width);
    }
  }
  return new RgbImage(data, batch * width, height);
}

/**
 * Creates the function that projects denoised latents to an image with one pixel per latent cell, the images of a batch
 * side by side.
 *
 * @throws DiffusionError `ERR_MODEL_CORRUPT` if the model's own projection is invalid.
 */
function createProjection(
  info: LoadedModelInfo,
  family: Family,
  [batch, channels, height, width]: Shape,
): (latent: Float32Array) => RgbImage {
  const projection = projectionOf(info, family);
  const zero = projection[channels] as readonly number[];
  const cells = height * width;
  return (latent) => {
    const data = new Uint8ClampedArray(batch * cells * 3);
    for (let i = 0; i < batch * cells; i++) {
      const image = Math.floor(i / cells);
      const cell = i % cells;
      const row = Math.floor(cell / width);
      const pixel = (row * batch + image) * width + (cell % width);
      for (let color = 0; color < 3; color++) {
        let sum = zero[color] as number;
        for (let channel = 0; channel < channels; channel++) {
          const factor = (projection[channel] as readonly number[])[color] as number;
          sum += factor * (latent[(image * channels + channel) * cells + cell] as number);
        }
        data[3 * pixel + color] = (sum + 1) * 127.5;
      }
    }
    return new RgbImage(new Uint8Array(data.buffer), batch * width, height);
  };
}

function projectionOf({ metadata, latentChannels }: LoadedModelInfo, { latent }: Family): Projection {
  const own = metadata[METADATA_KEY];
  const projection = own === undefined ? latent.projection : parse(own);
  const isVector = (row: unknown) => Array.isArray(row) && row.length === 3 && row.every(Number.isFinite);
  if (Array.isArray(projection) && projection.length === latentChannels + 1 && projection.every(isVector))
    return projection;
  const expected = `a JSON array of ${latentChannels + 1} rows of 3 numbers`;
  throw new DiffusionError('ERR_MODEL_CORRUPT', `Expected ${expected} in the model's metadata entry '${METADATA_KEY}'`);
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
