// Images of a latent while it is being drawn: small ones by a projection, or whole ones by an autoencoder.

import { DiffusionError } from '../core/errors.ts';
import { RgbImage, toRgbBytes } from '../image/rgb-image.ts';
import type { NativeModelInfo } from '../native/contract.ts';
import type { Networks, Shape } from '../native/networks.ts';

/** Red, green and blue of -1..1 for one unit of each latent channel, one row a channel, and a last row for a latent of 0. */
type Projection = readonly (readonly number[])[];

/** The latent space of Stable Diffusion 1 and 2: the factors that ComfyUI and stable-diffusion.cpp publish for it. */
const STABLE_DIFFUSION_1: Projection = [
  [0.3512, 0.2297, 0.3227],
  [0.325, 0.4974, 0.235],
  [-0.2829, 0.1762, 0.2721],
  [-0.212, -0.2616, -0.7177],
  [0, 0, 0],
];

/** The latent space of SDXL: the factors that stable-diffusion.cpp publishes for it. */
const STABLE_DIFFUSION_XL: Projection = [
  [0.258303, 0.27764, 0.329699],
  [-0.299701, 0.105446, 0.014194],
  [0.050522, 0.186163, -0.143257],
  [-0.211938, -0.149892, -0.080036],
  [0.144381, -0.033313, 0.007061],
];

/** Metadata entry by which a model with a latent space of its own brings its projection, as JSON. */
const METADATA_KEY = 'latent_rgb_projection';

/** How previews are made: by the linear projection, by the tiny autoencoder, or by the one that decodes the result. */
export type PreviewKind = 'proj' | 'tae' | 'vae';

export const PREVIEW_KINDS: readonly PreviewKind[] = ['proj', 'tae', 'vae'];

/** Makes the function that shows what latents look like, the images of a batch side by side. */
export function createPreview(
  kind: PreviewKind,
  networks: Networks,
  shape: Shape,
): (latent: Float32Array) => Promise<RgbImage> {
  if (kind === 'tae') return (latent) => decode((one, of) => networks.preview(one, of), networks, latent, shape);
  if (kind === 'vae') return (latent) => decode((one, of) => networks.decode(one, of), networks, latent, shape);
  const project = createProjection(networks.info, shape);
  return async (latent) => project(latent);
}

async function decode(
  decodeOne: Networks['decode'],
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
 * Makes the function that projects denoised latents to an image of one pixel a latent cell, the images of a batch side by
 * side.
 *
 * @throws DiffusionError `ERR_MODEL_CORRUPT` where the model brings a projection that is none.
 */
function createProjection(
  info: NativeModelInfo,
  [batch, channels, height, width]: Shape,
): (latent: Float32Array) => RgbImage {
  const projection = projectionOf(info);
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

function projectionOf({ metadata, latentChannels, family }: NativeModelInfo): Projection {
  const own = metadata[METADATA_KEY];
  const projection =
    own === undefined ? (family.startsWith('sdxl') ? STABLE_DIFFUSION_XL : STABLE_DIFFUSION_1) : parse(own);
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
