// How near everything in an image is.

import type { Buffer } from 'node:buffer';
import { eachRow } from '../async/slices.ts';
import { type LossyOptions, RgbImage } from '../image/rgb-image.ts';
import { namedFormat, writeImage } from '../image/write-image.ts';
import { encodeGray16 } from '../image/write-png.ts';
import type { Nearness } from './latent-depth.ts';

/** A depth map, as a network estimated it. It may be given wherever depth is asked for. */
export class DepthMap implements Nearness {
  /** Size in pixels: that of the image. */
  readonly width: number;
  readonly height: number;
  /**
   * `[height, width]`: how near each pixel is, larger is nearer. Up to a factor and a summand the inverse of its distance, in no unit;
   * of two images the numbers cannot be compared.
   */
  readonly data: Float32Array;

  /** @internal */
  constructor({ width, height, data }: Nearness) {
    this.width = width;
    this.height = height;
    this.data = data;
  }

  /** Whether it is one: instances of other copies of this package are none. */
  static is(value: unknown): value is DepthMap {
    return typeof value === 'object' && value !== null && #shares in value;
  }

  /** The depth map as an image: white is the nearest, black the farthest. */
  async image(): Promise<RgbImage> {
    const shares = await this.#shares();
    const rgb = new Uint8Array(3 * shares.length);
    await this.#eachPixel((i) => {
      rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = Math.round(255 * (shares[i] as number));
    });
    return new RgbImage(rgb, this.width, this.height);
  }

  /** The same as a PNG file of 16-bit gray. */
  async png(): Promise<Buffer> {
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
   * Writes {@link png} to a file, or {@link image} where its name ends in `.jpg` or `.webp`, whole or not at all.
   *
   * @param path where to; its folder must exist, a file that is there is replaced.
   * @throws as {@link RgbImage.save}.
   */
  async save(path: string, options: LossyOptions = {}): Promise<void> {
    if (namedFormat(path) === 'png') await writeImage(path, await this.png());
    else await (await this.image()).save(path, options);
  }

  /** From 0, the farthest, to 1, the nearest; 0 where all is equally near. */
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
