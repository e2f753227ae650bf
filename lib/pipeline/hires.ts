// The second pass of an image ("hires fix"): the result of the first is enlarged, noised again and denoised.

import { concat } from '../core/arrays.ts';
import { warn } from '../core/warnings.ts';
import { MAX_IMAGE_PIXELS } from '../image/limits.ts';
import type { Pixels } from '../image/pixels.ts';
import { lanczos3 } from '../image/resample.ts';
import { place, resize, type Size } from '../image/resize.ts';
import { toRgbBytes } from '../image/rgb-image.ts';
import type { Networks, Shape } from '../native/networks.ts';
import type { CheckedGenerationOptions } from '../task/check.ts';
import type { CheckedHires } from '../task/hires-upscalers.ts';
import { loadUpscaler, type Upscaler } from '../upscaler/upscaler.ts';
import type { MakeInitialLatents } from './initial-latents.ts';
import { type Interpolation, interpolate } from './interpolate.ts';
import { decodeLatents, encodeImage, meanLatent, toDiffusion } from './latents.ts';

const INTERPOLATIONS: Readonly<Record<string, Interpolation>> = {
  latent: 'bilinear',
  'latent-nearest': 'nearest',
  'latent-bicubic': 'bicubic',
};

/**
 * Opens an upscaler given by its path and closes it again, so that an unsuitable file is reported before anything is
 * generated.
 *
 * @throws as {@link loadUpscaler}.
 */
export async function checkHiresUpscaler({ upscaler }: CheckedHires): Promise<void> {
  if (typeof upscaler !== 'string' || upscaler === 'lanczos' || upscaler in INTERPOLATIONS) return;
  const opened = await loadUpscaler(upscaler);
  await opened.dispose();
}

/**
 * Enlarges the latents of the first pass to the size of the second. An image that was enlarged instead is encoded to
 * the mean of its latent.
 *
 * @param shape of the latents.
 */
export async function enlargeLatents(
  networks: Networks,
  latents: Float32Array,
  shape: Shape,
  { size, upscaler }: CheckedHires,
): Promise<Float32Array> {
  const [batch, channels, height, width] = shape;
  const { vaeScaleFactor: factor } = networks.info;
  const interpolation = typeof upscaler === 'string' ? INTERPOLATIONS[upscaler] : undefined;
  if (interpolation) {
    const target = { width: size.width / factor, height: size.height / factor };
    return interpolate(latents, { width, height }, target, interpolation);
  }
  const length = channels * height * width;
  const enlarged: Float32Array[] = [];
  const opened =
    typeof upscaler === 'string' && upscaler !== 'lanczos' ? await openUpscaler(networks, upscaler) : undefined;
  try {
    for (let i = 0; i < batch; i++) {
      const one = latents.subarray(i * length, (i + 1) * length);
      const planes = await decodeLatents(networks, one, [1, channels, height, width]);
      const first: Pixels = {
        width: width * factor,
        height: height * factor,
        channels: 3,
        data: await toRgbBytes(planes),
      };
      const image = await enlargeImage(first, size, opened ?? upscaler, networks.signal);
      const posterior = await encodeImage(networks, image);
      enlarged.push(toDiffusion(meanLatent(posterior), posterior.scale));
    }
  } finally {
    await opened?.dispose();
  }
  return concat(enlarged);
}

function openUpscaler({ info: { device, threads }, signal }: Networks, path: string): Promise<Upscaler> {
  return loadUpscaler(path, { device, threads, signal, logger: { warn } });
}

async function enlargeImage(
  image: Pixels,
  size: Size,
  upscaler: string | Upscaler,
  signal: AbortSignal,
): Promise<Pixels> {
  if (typeof upscaler === 'string') return resize(image, place(image, size, 'stretch'), lanczos3);
  const { width, height, data } = await upscaler.upscale(image, { signal, maxPixels: MAX_IMAGE_PIXELS });
  return resize({ width, height, channels: 3, data }, place({ width, height }, size, 'stretch'), lanczos3);
}

/** Starts from latents with noise, at the level where the last `steps` of the schedule begin. */
export function fromLatents(latents: Float32Array, steps: number): MakeInitialLatents {
  return (sigmas, draws, noiseModel) => {
    const rest = sigmas.subarray(Math.max(sigmas.length - 1 - steps, 0));
    return { latent: noiseModel.addNoise(latents, draws.next(), rest[0] as number), sigmas: rest };
  };
}

/** Number of steps of the second pass. Of custom noise levels, the last are used. */
export function secondSteps(
  { scheduler }: CheckedGenerationOptions,
  { steps, denoisingStrength }: CheckedHires,
): number {
  if (typeof scheduler === 'string') return steps;
  return Math.max(Math.floor((scheduler.length - 1) * denoisingStrength), 1);
}

/** The options of the second pass: a schedule whose last steps are those of the pass. */
export function secondOptions(options: CheckedGenerationOptions, hires: CheckedHires): CheckedGenerationOptions {
  return { ...options, steps: Math.floor(hires.steps / hires.denoisingStrength) };
}
