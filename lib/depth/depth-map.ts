// How near everything in an image is.

import type { Buffer } from 'node:buffer';
import { eachRow } from '../async/slices.ts';
import { reportMemory } from '../core/out-of-memory.ts';
import { type LossyOptions, RgbImage } from '../image/rgb-image.ts';
import { namedFormat, writeImage } from '../image/write-image.ts';
import { encodeGray16 } from '../image/write-png.ts';
import type { Nearness } from './latent-depth.ts';

/** A depth map estimated by a network. Accepted wherever an option asks for depth. */
export class DepthMap implements Nearness {
  /** Size in pixels, equal to that of the image. */
  readonly width: number;
  readonly height: number;
  /**
   * `[height, width]`: how near each pixel is; larger is nearer. The inverse of its distance up to scale and offset,
   * without a unit; values of different images are not comparable.
   */
  readonly data: Float32Array;

  /** @internal */
  constructor({ width, height, data }: Nearness) {
    this.width = width;
    this.height = height;
    this.data = data;
  }

  /** Whether a value is an instance of this copy of the package. */
  static is(value: unknown): value is DepthMap {
    return typeof value === 'object' && value !== null && #shares in value;
  }

  /** The depth map as an image: white is nearest, black farthest. */
  async image(): Promise<RgbImage> {
    return reportMemory(this.#image());
  }

  async #image(): Promise<RgbImage> {
    const shares = await this.#shares();
    const rgb = new Uint8Array(3 * shares.length);
    await this.#eachPixel((i) => {
      rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = Math.round(255 * (shares[i] as number));
    });
    return new RgbImage(rgb, this.width, this.height);
  }

  /** The depth map as a PNG file of 16-bit gray. */
  async png(): Promise<Buffer> {
    return reportMemory(this.#png());
  }

  async #png(): Promise<Buffer> {
    const shares = await this.#shares();
    const bytes = new Uint8Array(2 * shares.length);
    await this.#eachPixel((i) => {
      const value = Math.round(65535 * (shares[i] as number));
      bytes[2 * i] = value >> 8;
      bytes[2 * i + 1] = value & 255;
    });
    return encodeGray16(bytes, this.width, this.height);
  }

  /**
   * Writes {@link png} to a file, or {@link image} if its name ends in `.jpg` or `.webp`. The file is complete or not
   * written at all.
   *
   * @param path of the file; its folder must exist, an existing file is replaced.
   * @throws like {@link RgbImage.save}.
   */
  async save(path: string, options: LossyOptions = {}): Promise<void> {
    if (namedFormat(path) === 'png') await writeImage(path, await this.png());
    else await (await this.image()).save(path, options);
  }

  /** From 0, the farthest, to 1, the nearest; 0 if everything is equally near. */
  async #shares(): Promise<Float32Array> {
    const { data } = this;
    let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    await this.#eachPixel((i) => {
      min = Math.min(min, data[i] as number);
      max = Math.max(max, data[i] as number);
    });
    const scale = max > min ? 1 / (max - min) : 0;
    const shares = new Float32Array(data.length);
    await this.#eachPixel((i) => {
      shares[i] = ((data[i] as number) - min) * scale;
    });
    return shares;
  }

  async #eachPixel(visit: (i: number) => void): Promise<void> {
    await eachRow(this.height, (row) => {
      for (let i = row * this.width; i < (row + 1) * this.width; i++) visit(i);
    });
  }
}
