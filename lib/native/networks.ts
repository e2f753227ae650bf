// The networks of an open model as a pipeline calls them: cancellable, with typed errors, and never silent about NaN.

import { DiffusionError } from '../core/errors.ts';
import { callNative } from './call.ts';
import type {
  NativeAddon,
  NativeCondition,
  NativeLora,
  NativeLoraReport,
  NativeModel,
  NativeModelInfo,
  NativeTextEncoding,
  NativeTileable,
} from './contract.ts';

/** Shape of a latent or an image: `[batch, channels, height, width]`. */
export type Shape = readonly [batch: number, channels: number, height: number, width: number];

/**
 * The networks for the length of one run.
 *
 * Every method rejects with `signal.reason` once the run's signal has fired, and with `ERR_NON_FINITE` when a network
 * returns NaN or infinity.
 */
export class Networks {
  readonly info: NativeModelInfo;
  /** Ends the run. */
  readonly signal: AbortSignal;
  readonly #addon: NativeAddon;
  readonly #model: NativeModel;
  readonly #tileable: NativeTileable | undefined;

  /** @param tileable sides along which all of them but the text encoders take an image for joined. */
  constructor(addon: NativeAddon, model: NativeModel, signal: AbortSignal, tileable?: NativeTileable) {
    this.info = model.info;
    this.#addon = addon;
    this.#model = model;
    this.signal = signal;
    this.#tileable = tileable;
  }

  /**
   * Puts these LoRAs in force, and no others.
   *
   * @param all whether tensors that are not applied are refused.
   */
  async setLoras(loras: readonly NativeLora[], all: boolean): Promise<NativeLoraReport[]> {
    return callNative(this.#addon, this.signal, (flag) => this.#model.setLoras(loras, flag, all));
  }

  /** Opens these ControlNets, files or folders, each once, and frees others that are open. */
  async setControlNets(paths: readonly string[]): Promise<void> {
    await callNative(this.#addon, this.signal, (flag) => this.#model.setControlNets(paths, flag));
  }

  /**
   * @param encoder index into `info.textEncoders`.
   * @param tokens `[chunks, positions]`.
   * @param vectors what tokens behind the vocabulary stand for, `[n, width]`.
   */
  async encodeText(
    encoder: number,
    tokens: Int32Array,
    clipSkip: number,
    vectors?: Float32Array,
  ): Promise<NativeTextEncoding> {
    const encoding = await callNative(this.#addon, this.signal, (flag) =>
      this.#model.encodeText(encoder, tokens, clipSkip, flag, vectors),
    );
    for (const values of [encoding.hidden, encoding.pooled]) requireFinite(values, 'the text encoder');
    return encoding;
  }

  /**
   * One UNet evaluation of a whole batch.
   *
   * @param when what to call the evaluation in an error message, for example `step 3 of 20`.
   */
  async predict(
    latent: Float32Array,
    shape: Shape,
    timesteps: Float32Array,
    condition: NativeCondition,
    when: string,
  ): Promise<Float32Array> {
    const circular = this.#tileable ? { ...condition, tileable: this.#tileable } : condition;
    const prediction = await callNative(this.#addon, this.signal, (flag) =>
      this.#model.predict(latent, shape, timesteps, circular, flag),
    );
    return requireFinite(prediction, `the UNet at ${when}`);
  }

  /**
   * Encodes images.
   *
   * @param planes `[batch, 3, height, width]` of -1..1.
   * @returns the moments `[batch, 2 * latentChannels, height / f, width / f]` of the VAE's latent: mean, then log variance.
   */
  async encode(planes: Float32Array, shape: Shape): Promise<Float32Array> {
    const moments = await callNative(this.#addon, this.signal, (flag) =>
      this.#model.encode(planes, shape, flag, this.#tileable),
    );
    return requireFinite(moments, 'the VAE encoder');
  }

  /**
   * Decodes latents of the VAE.
   *
   * @returns planes `[batch, 3, height, width]` of about -1..1.
   */
  async decode(latent: Float32Array, shape: Shape): Promise<Float32Array> {
    const planes = await callNative(this.#addon, this.signal, (flag) =>
      this.#model.decode(latent, shape, flag, this.#tileable),
    );
    return requireFinite(planes, 'the VAE decoder');
  }

  /** Decodes diffusion latents by the tiny autoencoder, as {@link decode}. */
  async preview(latent: Float32Array, shape: Shape): Promise<Float32Array> {
    const planes = await callNative(this.#addon, this.signal, (flag) =>
      this.#model.preview(latent, shape, flag, this.#tileable),
    );
    return requireFinite(planes, 'the tiny autoencoder');
  }
}

/**
 * @param origin what the values come from, for example `the UNet at step 3 of 20`.
 * @throws DiffusionError `ERR_NON_FINITE` where they are not all finite.
 */
export function requireFinite(values: Float32Array, origin: string): Float32Array {
  // 0 times anything finite is 0; one multiplication a value is far cheaper than a test of each.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += 0 * (values[i] as number);
  if (sum === 0) return values;
  const remedy = 'The weights may be damaged or too large for their type, or the guidance scale too large';
  throw new DiffusionError(
    'ERR_NON_FINITE',
    `Expected finite numbers from ${origin} but received NaN or infinity. ${remedy}`,
  );
}
