// The depth estimator of a model: opened when first needed, and kept.

import { createAbortController } from '../async/abort.ts';
import { DiffusionError } from '../core/errors.ts';
import type { CheckedComputeOptions } from '../loading/load-options.ts';
import type { NativeAddon } from '../native/contract.ts';
import { type DepthEstimator, openDepthEstimator } from './depth-estimator.ts';

/** Where the files of such a network may be. */
export interface DepthPaths {
  /** The requested network. */
  readonly depthModel: string | undefined;
  /** The model itself, which may include such a network. */
  readonly model: string | undefined;
}

/** A depth estimator, opened on demand. */
export class DepthSource {
  readonly #addon: NativeAddon;
  readonly #paths: DepthPaths;
  readonly #options: CheckedComputeOptions;
  readonly #disposal = createAbortController();
  #opened: Promise<DepthEstimator> | undefined;

  /** @param options the options that the model was loaded with. */
  constructor(addon: NativeAddon, paths: DepthPaths, options: CheckedComputeOptions) {
    this.#addon = addon;
    this.#paths = paths;
    this.#options = { ...options, onProgress: undefined, signal: this.#disposal.signal };
  }

  /**
   * The estimator, the same for all calls. If it did not open, the next call tries again.
   *
   * @throws like {@link openDepthEstimator}; DiffusionError `ERR_MODEL_INCOMPLETE` if none was requested and the model
   *   includes none.
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

  /** Frees it, even while it is being opened. */
  async dispose(): Promise<void> {
    this.#disposal.abort(new DiffusionError('ERR_DISPOSED', 'The model was disposed of. Load it again to use it'));
    // The failure to open was reported to the caller who asked for it.
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
    const message = 'The model does not include a network that estimates depth';
    const remedy = 'Give the depth itself, or load the model with the option `depthModel`';
    throw new DiffusionError('ERR_MODEL_INCOMPLETE', `${message}. ${remedy}`, { cause });
  }
}

/** Whether a file or folder has another content, as opposed to being damaged. */
function isOfAnotherKind(error: unknown): boolean {
  return error instanceof DiffusionError && ['ERR_MODEL_UNSUPPORTED', 'ERR_FILE'].includes(error.code);
}
