// How near everything in a picture is.

import type { Buffer } from 'node:buffer';
import { encodeGray16 } from '../image/png.ts';
import { RgbImage } from '../image/rgb-image.ts';
import { writePng } from '../image/write-png.ts';
import type { Nearness } from '../picture/depth.ts';
import { eachRow } from '../picture/slices.ts';

/** A depth map, as a network estimated it. It may be given wherever depth is asked for. */
export class DepthMap implements Nearness {
  /** Size in pixels: that of the picture. */
  readonly width: number;
  readonly height: number;
  /**
   * `[height, width]`: how near each pixel is, larger is nearer. Up to a factor and a summand the inverse of its distance, in no unit;
   * of two pictures the numbers cannot be compared.
   */
  readonly data: Float32Array;

  /** @internal */
  constructor({ width, height, data }: Nearness) {
    this.width = width;
    this.height = height;
    this.data = data;
  }

  /** The depth map as a picture: white is the nearest, black the farthest. */
  async picture(): Promise<RgbImage> {
    const shares = await this.#shares();
    const rgb = new Uint8Array(3 * shares.length);
    await eachRow(this.height, 8 * this.width, (row) => {
      for (let i = row * this.width; i < (row + 1) * this.width; i++) {
        rgb.fill(Math.round(255 * (shares[i] as number)), 3 * i, 3 * i + 3);
      }
    });
    return new RgbImage(rgb, this.width, this.height);
  }

  /** The same as a PNG file of 16-bit gray. */
  async png(): Promise<Buffer> {
    const shares = await this.#shares();
    return encodeGray16(
      Uint16Array.from(shares, (share) => Math.round(65535 * share)),
      this.width,
      this.height,
    );
  }

  /**
   * Writes {@link png} to a file, whole or not at all.
   *
   * @param path where to; its folder must exist, a file that is there is replaced.
   * @throws DiffusionError `ERR_WRITE` when the folder is missing, the name is that of another format, or the system refuses.
   */
  async save(path: string): Promise<void> {
    await writePng(path, await this.png());
  }

  /** From 0, the farthest, to 1, the nearest; 0 where all is equally near. */
  async #shares(): Promise<Float32Array> {
    const { width, height, data } = this;
    let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    await eachRow(height, 4 * width, (row) => {
      for (let i = row * width; i < (row + 1) * width; i++) {
        min = Math.min(min, data[i] as number);
        max = Math.max(max, data[i] as number);
      }
    });
    const scale = max > min ? 1 / (max - min) : 0;
    return data.map((value) => (value - min) * scale);
  }
}
