// A finished image in memory.

import type { Buffer } from 'node:buffer';
import { isTurnOver, nextTurn } from '../async/slices.ts';
import { reportMemory } from '../core/out-of-memory.ts';
import { warn } from '../core/warnings.ts';
import { OptionCheck } from '../options/check.ts';
import { withJpegComment, withWebpComment } from './exif.ts';
import type { GenerationParameters } from './generation-parameters.ts';
import { encodeByLibrary } from './jpeg-webp.ts';
import { withText } from './text-chunks.ts';
import { checkQuality, namedFormat, writeImage } from './write-image.ts';
import { encodePng } from './write-png.ts';

/** Keyword of the PNG text entry of generation parameters. */
const KEYWORD = 'parameters';

/** Options for writing JPEG and WebP files. */
export interface LossyOptions {
  /** From 1, the smallest file, to 100, the best image. Default 90. */
  quality?: number | undefined;
}

/** A generated image of 8-bit RGB pixels in sRGB. */
export class RgbImage {
  /** Size in pixels. */
  readonly width: number;
  readonly height: number;
  /** `[height, width, 3]`: rows from the top, red, green and blue of each pixel, 0..255. */
  readonly data: Uint8Array;
  /** How the image was made; undefined for previews. */
  readonly parameters: GenerationParameters | undefined;

  readonly #text: string | undefined;

  /** @internal `text` is that of the parameters, for files. */
  constructor(data: Uint8Array, width: number, height: number, parameters?: GenerationParameters, text?: string) {
    this.width = width;
    this.height = height;
    this.data = data;
    this.parameters = parameters;
    this.#text = text;
  }

  /**
   * The image as a PNG file, with its generation parameters as text in the format of AUTOMATIC1111's web UI, which
   * {@link readMetadata} reads back. Compression runs off the event loop.
   */
  async png(): Promise<Buffer> {
    return reportMemory(this.#png());
  }

  async #png(): Promise<Buffer> {
    const png = await encodePng(this.data, this.width, this.height);
    return this.#text === undefined ? png : await withText(png, KEYWORD, this.#text);
  }

  /**
   * The image as a JPEG file, written with the package `sharp`, with its generation parameters in EXIF, where the web
   * UI has them. Parameters of more than about 32,000 characters do not fit and are omitted.
   *
   * @throws DiffusionError `ERR_MISSING_PACKAGE` if `sharp` is not installed. TypeError or RangeError for invalid
   *   options.
   */
  async jpeg(options: LossyOptions = {}): Promise<Buffer> {
    return reportMemory(this.#jpeg(qualityOf(options)));
  }

  async #jpeg(quality: number): Promise<Buffer> {
    const jpeg = await encodeByLibrary(this, 'JPEG', quality);
    const withParameters = this.#text === undefined ? jpeg : withJpegComment(jpeg, this.#text);
    if (!withParameters)
      warn('The generation parameters are too long for a JPEG and were omitted. PNG and WebP have room for them');
    return withParameters ?? jpeg;
  }

  /** The image as a WebP file; otherwise like {@link jpeg}. */
  async webp(options: LossyOptions = {}): Promise<Buffer> {
    return reportMemory(this.#webp(qualityOf(options)));
  }

  async #webp(quality: number): Promise<Buffer> {
    const webp = await encodeByLibrary(this, 'WebP', quality);
    return this.#text === undefined ? webp : withWebpComment(webp, this.width, this.height, this.#text);
  }

  /**
   * Writes the image to a file, completely or not at all: {@link jpeg} if its name ends in `.jpg` or `.jpeg`, {@link
   * webp} for `.webp`, otherwise {@link png}.
   *
   * @param path of the file; its folder must exist, an existing file is replaced.
   * @throws DiffusionError `ERR_WRITE` if the folder does not exist, the name has the extension of another format, or
   *   the system refuses; `ERR_MISSING_PACKAGE` for JPEG or WebP if `sharp` is not installed. TypeError or RangeError
   *   for invalid options.
   */
  async save(path: string, options: LossyOptions = {}): Promise<void> {
    qualityOf(options);
    const format = namedFormat(path) ?? 'png';
    await writeImage(path, format === 'png' ? await this.png() : await this[format](options));
  }
}

function qualityOf(options: LossyOptions): number {
  const check = new OptionCheck(options, ['quality']);
  const quality = checkQuality(check);
  check.done();
  return quality;
}

/** Pixels converted between two checks of the clock. */
const PIXELS_AT_A_TIME = 1 << 14;

/**
 * Converts network output to 8-bit RGB as in diffusers: -1..1 to 0..255, clamped, rounded to nearest.
 *
 * @param planes `[3, height, width]`
 * @returns `[height, width, 3]`
 */
export async function toRgbBytes(planes: Float32Array): Promise<Uint8Array> {
  const pixels = planes.length / 3;
  const bytes = new Uint8ClampedArray(planes.length);
  for (let begin = 0; begin < pixels; begin += PIXELS_AT_A_TIME) {
    if (isTurnOver()) await nextTurn();
    const end = Math.min(begin + PIXELS_AT_A_TIME, pixels);
    for (let channel = 0; channel < 3; channel++) {
      for (let i = begin; i < end; i++) {
        // Clamped arrays clamp and round halves to even by themselves.
        bytes[3 * i + channel] = ((planes[channel * pixels + i] as number) + 1) * 127.5;
      }
    }
  }
  return new Uint8Array(bytes.buffer);
}
