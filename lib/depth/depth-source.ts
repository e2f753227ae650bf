// What estimates depth for a model that draws: opened when it is first needed, and kept.

import { createAbortController } from '../async/abort.ts';
import { DiffusionError } from '../core/errors.ts';
import type { CheckedComputeOptions } from '../loading/load-options.ts';
import type { NativeAddon } from '../native/contract.ts';
import { type DepthEstimator, openDepthEstimator } from './depth-estimator.ts';

/** Where the files of such a network may be. */
export interface DepthPaths {
  /** Those of a network that was asked for. */
  readonly depthModel: string | undefined;
  /** Those of the model that draws, which may have one beside it. */
  readonly model: string | undefined;
}

/** A depth estimator, once it is needed. */
export class DepthSource {
  readonly #addon: NativeAddon;
  readonly #paths: DepthPaths;
  readonly #options: CheckedComputeOptions;
  readonly #disposal = createAbortController();
  #opened: Promise<DepthEstimator> | undefined;

  /** @param options those that the model was loaded with. */
  constructor(addon: NativeAddon, paths: DepthPaths, options: CheckedComputeOptions) {
    this.#addon = addon;
    this.#paths = paths;
    this.#options = { ...options, onProgress: undefined, signal: this.#disposal.signal };
  }

  /**
   * The estimator, the same for all calls. One that did not open is tried again by the next call.
   *
   * @throws as {@link openDepthEstimator}; DiffusionError `ERR_MODEL_INCOMPLETE` where none was asked for and the model has none.
   */
  async estimator(): Promise<DepthEstimator> {
    const opening = this.#opened ?? this.#open();
    this.#opened = opening;
    try {
      return await opening;
    } catch (error) {
      if (this.#opened === opening) this.#opened = undefined;
      throw error;
    }
  }

  /** Frees it, also while it is being opened. */
  async dispose(): Promise<void> {
    this.#disposal.abort(new DiffusionError('ERR_DISPOSED', 'The model was disposed of. Load it again to use it'));
    // That it did not open was said to whoever asked for it.
    const estimator = await this.#opened?.catch(() => undefined);
    await estimator?.dispose();
  }

  async #open(): Promise<DepthEstimator> {
    this.#disposal.signal.throwIfAborted();
    const { depthModel, model } = this.#paths;
    if (depthModel !== undefined) return openDepthEstimator(this.#addon, depthModel, this.#options);
    let cause: unknown;
    try {
      if (model !== undefined) return await openDepthEstimator(this.#addon, model, this.#options);
    } catch (error) {
      if (!isOfAnotherKind(error)) throw error;
      cause = error;
    }
    const message = 'The model has no network beside it that estimates depth';
    const remedy = 'Give the depth itself, or load the model with the option `depthModel`';
    throw new DiffusionError('ERR_MODEL_INCOMPLETE', `${message}. ${remedy}`, { cause });
  }
}

/** Whether a file or folder holds something else, and is not one that is damaged. */
function isOfAnotherKind(error: unknown): boolean {
  return error instanceof DiffusionError && ['ERR_MODEL_UNSUPPORTED', 'ERR_FILE'].includes(error.code);
}
