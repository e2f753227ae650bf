// The web UI's extras: enlarging images, with an upscaler or without.

import { withoutUndefined } from '../../core/values.ts';
import { readImage } from '../../image/input.ts';
import { type Pixels, toRgb } from '../../image/pixels.ts';
import { lanczos3 } from '../../image/resample.ts';
import { place, resize, type Size } from '../../image/resize.ts';
import { RgbImage } from '../../image/rgb-image.ts';
import { loadUpscaler } from '../../upscaler/upscaler.ts';
import { RequestError } from '../failure.ts';
import type { Fields } from '../fields.ts';
import { find } from '../generation.ts';
import { imageBytes } from '../given-images.ts';
import type { JobInProgress } from '../job.ts';
import type { Sized } from '../jobs.ts';
import type { Service } from '../service.ts';

/** Images to enlarge, and how. */
export interface Enlarging {
  readonly images: readonly Uint8Array[];
  /** Path of an upscaler; undefined for Lanczos's filter alone. */
  readonly upscaler: string | undefined;
  sizeOf(image: Size): Size;
  readonly mode: 'fill' | 'stretch';
}

export interface EnlargedImages extends Sized {
  readonly images: readonly Buffer[];
}

const MAX_SCALE = 8;
/** Times that an upscaler enlarges an image, at most. */
const MAX_PASSES = 3;

/**
 * @param given the values of the images.
 * @throws TypeError or RangeError for wrong fields; RequestError for an upscaler that there is not.
 */
export async function readEnlarging(fields: Fields, given: readonly unknown[], service: Service): Promise<Enlarging> {
  const images = given.map((value) => imageBytes(value, 'image'));
  const name = fields.text('upscaler_1') ?? 'None';
  const isFile = !/^(|none|lanczos)$/i.test(name);
  const upscaler = isFile ? (await find(service.catalog, 'upscaler', name)).path : undefined;
  const scale = fields.number('upscaling_resize') ?? 2;
  if (!(scale > 0 && scale <= MAX_SCALE))
    throw fields.wrong('upscaling_resize', `above 0, at most ${MAX_SCALE}`, scale);
  const [width, height] = [fields.number('upscaling_resize_w'), fields.number('upscaling_resize_h')];
  const toSize = fields.number('resize_mode') === 1;
  const crops = fields.flag('upscaling_crop') ?? true;
  if (toSize && !(isSide(width) && isSide(height))) {
    throw fields.wrong('upscaling_resize_w', 'a width and a height in pixels, up to 16384,', width);
  }
  fields.refuse(['gfpgan_visibility', 'codeformer_visibility', 'extras_upscaler_2_visibility'], 0);
  fields.refuse(['upscaler_2'], 'None', 'none');
  const sizeOf = (image: Size): Size => {
    if (toSize) return { width: width as number, height: height as number };
    return {
      width: Math.max(1, Math.round(image.width * scale)),
      height: Math.max(1, Math.round(image.height * scale)),
    };
  };
  return { images, upscaler, sizeOf, mode: crops ? 'fill' : 'stretch' };
}

function isSide(value: number | undefined): boolean {
  return value !== undefined && Number.isInteger(value) && value >= 1 && value <= 16_384;
}

/** Enlarges images. @throws RequestError where one would be too large. */
export async function enlarge(
  job: JobInProgress,
  { images, upscaler, sizeOf, mode }: Enlarging,
  { limits, load }: Service,
): Promise<EnlargedImages> {
  const { device, threads, precision, mmap } = load;
  const options = withoutUndefined({ device, threads, precision, mmap, signal: job.signal });
  const opened = upscaler === undefined ? undefined : await loadUpscaler(upscaler, options);
  const enlarged: Buffer[] = [];
  try {
    for (const bytes of images) {
      job.signal.throwIfAborted();
      let image: Pixels = await toRgb(await readImage(bytes, 'image', limits.inputPixels));
      const target = sizeOf(image);
      if (target.width * target.height > limits.pixels) {
        throw new RequestError('invalid', `Expected a result of at most ${limits.pixels} pixels on this server`);
      }
      for (let pass = 0; opened && pass < MAX_PASSES; pass++) {
        const larger = image.width * opened.info.scale * image.height * opened.info.scale;
        const isLarge = image.width >= target.width && image.height >= target.height;
        if (pass > 0 && (isLarge || larger > limits.inputPixels)) break;
        const { width, height, data } = await opened.upscale(image, { signal: job.signal });
        image = { width, height, channels: 3, data };
      }
      const { width, height, data } = await resize(image, place(image, target, mode), lanczos3);
      enlarged.push(await new RgbImage(data, width, height).png());
    }
  } finally {
    await opened?.dispose();
  }
  return { images: enlarged, bytes: enlarged.reduce((sum, { length }) => sum + length, 0) };
}
