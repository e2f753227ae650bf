// Depth estimation: opens a network, runs it on images, and frees it.

import { createAbortController, follow } from '../async/abort.ts';
import { DiffusionError } from '../core/errors.ts';
import { reportMemory } from '../core/out-of-memory.ts';
import { checkImageArgument, type ImageInput, readImage } from '../image/input.ts';
import { checkMaxPixels, type ImageLimits } from '../image/limits.ts';
import { type Pixels, toPlanes, toRgb } from '../image/pixels.ts';
import { cubic, resample } from '../image/resample.ts';
import {
  type CheckedComputeOptions,
  COMPUTE_OPTIONS,
  type ComputeOptions,
  checkComputeOptions,
  checkNetworkOptions,
} from '../loading/load-options.ts';
import { openNative } from '../loading/open.ts';
import { callNative } from '../native/call.ts';
import type { ImageNetworkInfo, NativeAddon, NativeModel } from '../native/contract.ts';
import { loadAddon } from '../native/load.ts';
import { requireFinite } from '../native/networks.ts';
import { checkPath, OptionCheck } from '../options/check.ts';
import { DepthMap } from './depth-map.ts';
import { type Nearness, resizeNearness } from './latent-depth.ts';
import { networkSize } from './network-size.ts';

/** What an open depth network is, read from its tensors. */
export interface DepthEstimatorInfo {
  /** `dpt` for DPT-Large and similar networks, `dpt-hybrid`. */
  readonly architecture: string;
  /** Side in pixels of the images that it was made for. Other images are resized to about that size. */
  readonly side: number;
  readonly parameters: number;
  readonly device: string;
  readonly threads: number;
  readonly precision: string;
}

/** Options of {@link DepthEstimator.estimate}. */
export interface EstimateOptions extends ImageLimits {
  /** Cancels the call at any time: it rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
}

/** Options of {@link estimateDepth}. */
export interface EstimateDepthOptions extends ComputeOptions, ImageLimits {
  /** Path of a depth network: see {@link loadDepthEstimator}. */
  model: string;
}

/**
 * Opens a network that estimates depth: DPT-Large or DPT-Hybrid of MiDaS 3 (Ranftl et al. 2021).
 *
 * ```ts
 * await using estimator = await loadDepthEstimator('dpt_hybrid-midas-501f0c75.pt');
 * const depth = await estimator.estimate('room.png');
 * await depth.save('room-depth.png');
 * ```
 *
 * @param path of a MiDaS file (`.pt`), a transformers file (safetensors, `.bin`) or folder, or a Stable Diffusion 2
 *   depth model (file or folder), whose depth network is used.
 * @throws like {@link loadModel}.
 */
export async function loadDepthEstimator(path: string, options: ComputeOptions = {}): Promise<DepthEstimator> {
  const checkedPath = checkPath(path);
  const addon = loadAddon();
  return openDepthEstimator(addon, checkedPath, checkNetworkOptions(options, addon));
}

/** The same with validated options. */
export async function openDepthEstimator(
  addon: NativeAddon,
  path: string,
  options: CheckedComputeOptions,
): Promise<DepthEstimator> {
  const network = await openNative(addon, options, (native) => addon.open({ network: path }, native));
  const { kind } = network.info;
  if (kind === 'depth') return new DepthEstimator(addon, network);
  await network.dispose();
  const expected = "a network that estimates depth (MiDaS 3's DPT)";
  throw new DiffusionError('ERR_MODEL_UNSUPPORTED', `${path}: expected ${expected} but it is an ${kind}`);
}

/**
 * Estimates the depth of one image, with a network that is opened for it and closed again. For several images, use
 * {@link loadDepthEstimator}.
 *
 * ```ts
 * const depth = await estimateDepth('room.png', { model: 'dpt_hybrid-midas-501f0c75.pt' });
 * await depth.save('room-depth.png');
 * ```
 *
 * @throws like {@link loadDepthEstimator} and {@link DepthEstimator.estimate}.
 */
export async function estimateDepth(image: ImageInput, options: EstimateDepthOptions): Promise<DepthMap> {
  const addon = loadAddon();
  const check = new OptionCheck(options, [...COMPUTE_OPTIONS, 'model', 'maxPixels']);
  const checked = checkComputeOptions(check, addon);
  const path = check.path('model');
  const read = imageReader(check, image);
  check.done();
  const estimateOnce = async () => {
    const pixels = await read();
    const estimator = await openDepthEstimator(addon, path, checked);
    try {
      return await estimator.estimateOf(pixels, checked.signal);
    } finally {
      await estimator.dispose();
    }
  };
  return reportMemory(estimateOnce());
}

/** A depth network in memory, on its own thread. Created by {@link loadDepthEstimator}. */
export class DepthEstimator implements AsyncDisposable {
  readonly info: DepthEstimatorInfo;
  readonly #addon: NativeAddon;
  readonly #network: NativeModel<ImageNetworkInfo>;
  readonly #disposal = createAbortController();

  /** @internal */
  constructor(addon: NativeAddon, network: NativeModel<ImageNetworkInfo>) {
    const { architecture, side, parameters, device, threads, precision } = network.info;
    this.info = { architecture, side, parameters, device, threads, precision };
    this.#addon = addon;
    this.#network = network;
  }

  /**
   * Estimates how near everything in an image is. Calls execute in order.
   *
   * @throws TypeError or RangeError for invalid arguments; `signal.reason` once the signal has fired; DiffusionError
   *   `ERR_FILE`, `ERR_IMAGE`, `ERR_MISSING_PACKAGE` if the image cannot be read, `ERR_NON_FINITE`,
   *   `ERR_OUT_OF_MEMORY`, `ERR_DEVICE`, `ERR_DISPOSED`.
   */
  async estimate(image: ImageInput, options: EstimateOptions = {}): Promise<DepthMap> {
    const check = new OptionCheck(options, ['signal', 'maxPixels']);
    const signal = check.signal();
    const read = imageReader(check, image);
    check.done();
    return reportMemory(read().then((pixels) => this.estimateOf(pixels, signal)));
  }

  /** @internal */
  async estimateOf(image: Pixels, signal?: AbortSignal): Promise<DepthMap> {
    return new DepthMap(await resizeNearness(await this.nearness(image, signal), image.width, image.height));
  }

  /** @internal The network's own output, which has another size. */
  async nearness(image: Pixels, signal?: AbortSignal): Promise<Nearness> {
    const controller = createAbortController();
    const unfollow = follow(controller, [signal, this.#disposal.signal]);
    try {
      const { side, multiple } = this.#network.info;
      const { width, height } = networkSize(image, side, multiple);
      const whole = { x: 0, y: 0, width: image.width, height: image.height };
      const planes = await toPlanes(await resample(image, whole, width, height, cubic), 0);
      const inputs = { image: { data: planes, shape: [1, 3, height, width] } };
      const outputs = await callNative(this.#addon, controller.signal, (flag) =>
        this.#network.evaluate('depth', inputs, {}, flag),
      );
      return { width, height, data: requireFinite(outputs.image as Float32Array, 'the depth network') };
    } finally {
      unfollow();
    }
  }

  /** Like {@link Model.dispose}. */
  async dispose(): Promise<void> {
    const message = 'The depth estimator was disposed of. Load it again to use it';
    this.#disposal.abort(new DiffusionError('ERR_DISPOSED', message));
    await this.#network.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

/** Checks an image and `maxPixels`; the returned function reads the image once everything is checked. */
function imageReader(check: OptionCheck, image: unknown): () => Promise<Pixels> {
  const maxPixels = checkMaxPixels(check);
  const input = checkImageArgument(check, image, maxPixels);
  return async () => toRgb(await readImage(input, 'image', maxPixels));
}
