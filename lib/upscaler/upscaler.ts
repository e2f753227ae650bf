// An upscaler: a network that enlarges images, tile by tile.

import { createAbortController, follow } from '../async/abort.ts';
import { eachRow } from '../async/slices.ts';
import { argumentError, DiffusionError } from '../core/errors.ts';
import { reportMemory } from '../core/out-of-memory.ts';
import { checkImageArgument, type ImageInput, readImage } from '../image/input.ts';
import { checkMaxPixels, type ImageLimits, MAX_IMAGE_PIXELS } from '../image/limits.ts';
import { type Pixels, toRgb } from '../image/pixels.ts';
import type { Size } from '../image/resize.ts';
import { RgbImage } from '../image/rgb-image.ts';
import { joinTiles, type TileRow, tilesAlong } from '../image/tiles.ts';
import { type ComputeOptions, checkNetworkOptions } from '../loading/load-options.ts';
import { openNative } from '../loading/open.ts';
import { callNative } from '../native/call.ts';
import type { ImageNetworkInfo, NativeAddon, NativeModel } from '../native/contract.ts';
import { loadAddon } from '../native/load.ts';
import { requireFinite } from '../native/networks.ts';
import { checkPath, OptionCheck } from '../options/check.ts';

/** What an open upscaler is, read from its tensors. */
export type UpscalerInfo = ImageNetworkInfo;

/** Options of {@link Upscaler.upscale}. */
export interface UpscaleOptions extends ImageLimits {
  /** Side in pixels of the square tiles that the network sees, 32 to 2048. Memory grows with it. Default 128. */
  tileSize?: number | undefined;
  /** Minimum overlap of tiles in pixels, 0 to half the side. Default 16, or half the side if that is less. */
  tileOverlap?: number | undefined;
  /** Cancels the call: it rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
  /** Called after each tile. If it throws, the call fails with that error. */
  onProgress?: ((progress: UpscaleProgress) => void) | undefined;
}

/** Progress of an image: `done` of `total` tiles. */
export interface UpscaleProgress {
  readonly done: number;
  readonly total: number;
}

/**
 * Opens an upscaler: an ESRGAN or Real-ESRGAN file (RRDBNet or SRVGGNetCompact, any scale).
 *
 * ```ts
 * await using upscaler = await loadUpscaler('RealESRGAN_x4plus.pth');
 * const large = await upscaler.upscale('apple.png');
 * await large.save('large-apple.png');
 * ```
 *
 * @param path of a `.pth`, `.safetensors` or `.gguf` file.
 * @throws like {@link loadModel}.
 */
export async function loadUpscaler(path: string, options: ComputeOptions = {}): Promise<Upscaler> {
  const file = checkPath(path);
  const addon = loadAddon();
  const checked = checkNetworkOptions(options, addon);
  const native = await openNative(addon, checked, (opening) => addon.open({ network: file }, opening));
  const { kind } = native.info;
  if (kind === 'upscaler') return new Upscaler(addon, native);
  await native.dispose();
  throw new DiffusionError('ERR_MODEL_UNSUPPORTED', `Expected an upscaler but '${file}' is a ${kind} network`);
}

/** An upscaler in memory, on its own thread. Created by {@link loadUpscaler}. */
export class Upscaler implements AsyncDisposable {
  readonly info: UpscalerInfo;
  readonly #addon: NativeAddon;
  readonly #native: NativeModel<ImageNetworkInfo>;
  readonly #disposal = createAbortController();

  /** @internal */
  constructor(addon: NativeAddon, native: NativeModel<ImageNetworkInfo>) {
    this.info = native.info;
    this.#addon = addon;
    this.#native = native;
  }

  /** Whether a value is an instance of this copy of the package. */
  static is(value: unknown): value is Upscaler {
    return typeof value === 'object' && value !== null && #native in value;
  }

  /**
   * Enlarges an image by the network's scale. Transparent pixels become white.
   *
   * The network processes one tile after the other; where tiles overlap, they are blended. The result may have up to
   * 2^26 pixels.
   *
   * @throws TypeError or RangeError for invalid options and for an image whose result would be too large;
   *   DiffusionError `ERR_FILE`, `ERR_IMAGE` or `ERR_MISSING_PACKAGE` if it cannot be read, `ERR_NON_FINITE`,
   *   `ERR_OUT_OF_MEMORY`, `ERR_DEVICE` or `ERR_DISPOSED`; `signal.reason` once the signal has fired.
   */
  async upscale(image: ImageInput, options: UpscaleOptions = {}): Promise<RgbImage> {
    const { signal, image: given, maxPixels, ...checked } = checkUpscaleOptions(image, options);
    const controller = createAbortController();
    const unfollow = follow(controller, [signal, this.#disposal.signal]);
    try {
      controller.signal.throwIfAborted();
      const enlarge = async () => {
        const image = await toRgb(await readImage(given, 'image', maxPixels));
        return this.#enlarge(image, checked, controller.signal);
      };
      const { width, height, data } = await reportMemory(enlarge());
      return new RgbImage(data, width, height);
    } finally {
      unfollow();
    }
  }

  async #enlarge(image: Pixels, options: CheckedUpscaleOptions, signal: AbortSignal): Promise<Pixels> {
    const { scale, multiple } = this.info;
    const size = checkResult(image, scale);
    const rows = tileRow(image.height, multiple, options);
    const columns = tileRow(image.width, multiple, options);
    const total = rows.starts.length * columns.starts.length;
    let done = 0;
    return joinTiles(scaled(columns, scale), scaled(rows, scale), size, async (column, row) => {
      const tile = { width: columns.length, height: rows.length };
      const planes = await cutTile(image, columns.starts[column] as number, rows.starts[row] as number, tile);
      const shape = [1, 3, tile.height, tile.width] as const;
      const outputs = await callNative(this.#addon, signal, (flag) =>
        this.#native.evaluate('upscaler', { image: { data: planes, shape } }, {}, flag),
      );
      const enlarged = requireFinite(outputs.image as Float32Array, 'the upscaler');
      options.onProgress?.({ done: ++done, total });
      signal.throwIfAborted();
      return enlarged;
    });
  }

  /**
   * Stops running and waiting calls with `ERR_DISPOSED` and frees all memory; resolves when it is freed. You can call
   * it at any time and any number of times; `await using` calls it at the end of its block.
   */
  async dispose(): Promise<void> {
    this.#disposal.abort(new DiffusionError('ERR_DISPOSED', 'The upscaler was disposed of. Load it again to use it'));
    await this.#native.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

interface CheckedUpscaleOptions {
  readonly tileSize: number;
  readonly tileOverlap: number;
  readonly onProgress: UpscaleOptions['onProgress'];
}

const TILE_SIZE = { min: 32, max: 2048, integer: true } as const;
const DEFAULT_TILE_SIZE = 128;
const DEFAULT_OVERLAP = 16;

/** @throws TypeError or RangeError with all problems. */
export function checkUpscaleOptions(
  image: unknown,
  options: unknown,
): CheckedUpscaleOptions & {
  readonly image: ImageInput;
  readonly maxPixels: number;
  readonly signal: AbortSignal | undefined;
} {
  const check = new OptionCheck(options, ['tileSize', 'tileOverlap', 'maxPixels', 'signal', 'onProgress']);
  const maxPixels = checkMaxPixels(check);
  const tileSize = check.number('tileSize', DEFAULT_TILE_SIZE, TILE_SIZE);
  const most = Math.floor(tileSize / 2);
  const checked = {
    image: checkImageArgument(check, image, maxPixels),
    maxPixels,
    tileSize,
    tileOverlap: check.number('tileOverlap', Math.min(DEFAULT_OVERLAP, most), { min: 0, max: most, integer: true }),
    signal: check.signal(),
    onProgress: check.callback<NonNullable<UpscaleOptions['onProgress']>>('onProgress'),
  };
  check.done();
  return checked;
}

function checkResult({ width, height }: Size, scale: number): Size {
  const size = { width: width * scale, height: height * scale };
  if (size.width * size.height <= MAX_IMAGE_PIXELS) return size;
  const expected = `an image of at most ${Math.floor(MAX_IMAGE_PIXELS / scale ** 2)} pixels, enlarged ${scale} times`;
  const code = 'ERR_INVALID_ARG_VALUE';
  throw argumentError([{ name: 'image', expected, received: `${width} x ${height}`, code }]);
}

/**
 * Tiles along a side, all of the same length and at positions that are multiples; the last may extend beyond the image.
 */
function tileRow(side: number, multiple: number, { tileSize, tileOverlap }: CheckedUpscaleOptions): TileRow {
  const inMultiples = (pixels: number) => Math.ceil(pixels / multiple);
  const length = Math.floor(tileSize / multiple);
  return scaled(tilesAlong(inMultiples(side), length, Math.min(inMultiples(tileOverlap), length >> 1)), multiple);
}

function scaled({ length, starts }: TileRow, scale: number): TileRow {
  return { length: length * scale, starts: starts.map((start) => start * scale) };
}

/** A tile of an image as planes of 0..1; beyond the image its border is repeated. */
async function cutTile(image: Pixels, left: number, top: number, { width, height }: Size): Promise<Float32Array> {
  const planes = new Float32Array(3 * width * height);
  await eachRow(height, (y) => {
    const line = Math.min(top + y, image.height - 1) * image.width;
    for (let x = 0; x < width; x++) {
      const source = 3 * (line + Math.min(left + x, image.width - 1));
      for (let channel = 0; channel < 3; channel++) {
        planes[(channel * height + y) * width + x] = (image.data[source + channel] as number) / 255;
      }
    }
  });
  return planes;
}
