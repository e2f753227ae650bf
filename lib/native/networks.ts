// The networks of an open model for pipelines: cancellable, with typed errors, and with errors for NaN.

import { createAbortController, follow, throwIfAborted } from '../async/abort.ts';
import { DiffusionError } from '../core/errors.ts';
import { callNative, closeHandle } from './call.ts';
import type {
  LoadedModelInfo,
  LoraFile,
  NativeAddon,
  NativeArray,
  NativeEvaluation,
  NativeHandle,
  NativeLoraReport,
  NativeLoras,
  NativeMemoryEstimate,
  NativeModel,
  NativeTileable,
} from './contract.ts';
import type { OpenControlNets } from './open-control-nets.ts';
import { shapesOf } from './shapes.ts';
import { AUTO_TILING, tileSettings, type VaeTiling } from './vae-tiling.ts';

/** How far the VAE is with one image, while it works in tiles. */
export interface TileProgress {
  readonly stage: 'encoding' | 'decoding';
  /** Tiles that are done of all layers, which is not more than `total`. */
  readonly done: number;
  readonly total: number;
}

/** Shape of a latent or an image: `[batch, channels, height, width]`. */
export type Shape = readonly [batch: number, channels: number, height: number, width: number];

/** The conditioning of a UNet. */
export interface Condition {
  /** `[batch, contextTokens, context size]`: hidden states; those of two text encoders are concatenated. */
  readonly context: Float32Array;
  readonly contextTokens: number;
  /** `[batch, vectorSize]`; absent if that is 0. */
  readonly vector?: Float32Array | undefined;
  /** `[batch, guidanceSize]`; absent if that is 0. */
  readonly guidance?: Float32Array | undefined;
  /**
   * Replaces the self-attention of the middle block with the identity: each pixel attends only to itself
   * (perturbed-attention guidance). Default false. `ERR_MODEL_UNSUPPORTED` if the UNet has no attention there.
   */
  readonly identityAttention?: boolean;
  readonly controls?: readonly ControlImage[];
}

/** An image that an open ControlNet conditions the UNet on. */
export interface ControlImage {
  readonly net: NativeHandle;
  /** `[1, 3, height, width]`, 0..1. */
  readonly hint: Float32Array;
  readonly shape: Shape;
  readonly strength: number;
}

/**
 * The networks for the duration of one run, with its LoRAs.
 *
 * Every method rejects with `signal.reason` once the run's signal has fired, and with `ERR_NON_FINITE` when a network
 * returns NaN or infinity.
 */
export class Networks {
  readonly info: LoadedModelInfo;
  /** Cancels the run. */
  readonly signal: AbortSignal;
  readonly #addon: NativeAddon;
  readonly #model: NativeModel;
  readonly #controlNets: OpenControlNets;
  readonly #tileable: NativeTileable | undefined;
  /** Name of the component that predicts. */
  readonly denoiser: string;
  /** Most latents that are evaluated at a time, of all images and conditions. Default: all. */
  together = Number.POSITIVE_INFINITY;
  /** How the VAE is evaluated. */
  vaeTiling: VaeTiling = AUTO_TILING;
  /** Called while the VAE works in tiles. */
  onTile: ((progress: TileProgress) => void) | undefined;
  #loras: NativeLoras | undefined;

  /**
   * @param controlNets the ControlNets that earlier runs left open.
   * @param tileable axes along which convolutions are circular.
   */
  constructor(
    addon: NativeAddon,
    model: NativeModel,
    signal: AbortSignal,
    controlNets: OpenControlNets,
    tileable?: NativeTileable,
  ) {
    this.info = model.info;
    this.#addon = addon;
    this.#model = model;
    this.signal = signal;
    this.#controlNets = controlNets;
    this.#tileable = tileable;
    this.denoiser = denoiserOf(model);
  }

  /**
   * Adds these LoRAs to the networks of this run, and no others.
   *
   * @param all whether tensors that cannot be applied are an error.
   */
  async setLoras(loras: readonly LoraFile[], all: boolean): Promise<readonly NativeLoraReport[]> {
    const before = this.#loras;
    this.#loras =
      loras.length > 0
        ? await callNative(this.#addon, this.signal, (flag) => this.#model.openLoras(loras, flag, all))
        : undefined;
    await closeHandle(before);
    return this.#loras?.reports ?? [];
  }

  /** Closes the handles of the run. */
  async close(): Promise<void> {
    await closeHandle(this.#loras);
    this.#loras = undefined;
  }

  /** Opens ControlNets, files or folders. Others that earlier runs left open are closed. */
  async openControlNets(paths: readonly string[]): Promise<ReadonlyMap<string, NativeHandle>> {
    const open = (path: string) =>
      callNative(this.#addon, this.signal, (flag) => this.#model.openControlNet(path, flag));
    return this.#controlNets.use(paths, open, this.info.device !== 'cpu');
  }

  /** What each component declares. */
  get components(): NativeModel['components'] {
    return this.#model.components;
  }

  /** The memory that an evaluation with inputs of these shapes takes, from the headers of the files alone. */
  estimate(
    component: string,
    shapes: Readonly<Record<string, readonly number[]>>,
    options: NativeEvaluation = {},
  ): Promise<NativeMemoryEstimate> {
    return callNative(this.#addon, this.signal, () => this.#model.estimate(component, shapes, options));
  }

  /**
   * The settings with which a half of the VAE is evaluated.
   *
   * @param width of the latent, in cells; likewise `height`.
   */
  async vaeSettings(
    component: string,
    width: number,
    height: number,
    tiling: VaeTiling = this.vaeTiling,
  ): Promise<Readonly<Record<string, number>>> {
    const signature = this.components[component];
    if (!signature) return {};
    const shapes = shapesOf(signature, { batch: 1, width, height });
    const estimate = (settings = {}) => this.estimate(component, shapes, { settings });
    return tileSettings(tiling, { signature, width, height, estimate });
  }

  /** See {@link NativeModel.setResidency}. */
  setResidency(residency: 'keep' | 'unload' | number, stream: boolean): Promise<void> {
    return callNative(this.#addon, this.signal, () => this.#model.setResidency(residency, stream));
  }

  /**
   * @param component of `info.textEncoders`.
   * @param inputs and settings that it declares.
   * @returns the outputs that it declares.
   */
  encodeText(
    component: string,
    inputs: Readonly<Record<string, NativeArray | undefined>>,
    settings: Readonly<Record<string, number | boolean>>,
  ): Promise<Record<string, Float32Array>> {
    return this.#evaluate(component, inputs, { settings });
  }

  /**
   * One evaluation of the denoiser, the component with an output `prediction`, for a whole batch.
   *
   * @param latent `[batch, inChannels, height, width]`, already scaled for the network.
   * @param timesteps `[batch]`, may be fractional.
   * @param when name of the evaluation in error messages, for example `step 3 of 20`.
   * @returns the raw prediction `[batch, latentChannels, height, width]`.
   */
  async predict(
    latent: Float32Array,
    shape: Shape,
    timesteps: Float32Array,
    { context, contextTokens, vector, guidance, identityAttention = false, controls = [] }: Condition,
    when: string,
    signal = this.signal,
  ): Promise<Float32Array> {
    const [batch] = shape;
    const rows = (data: Float32Array | undefined) => data && { data, shape: [batch, data.length / batch] };
    const inputs = {
      latent: { data: latent, shape },
      timesteps: { data: timesteps, shape: [batch] },
      context: { data: context, shape: [batch, contextTokens, context.length / (batch * contextTokens)] },
      vector: rows(vector),
      guidance: rows(guidance),
    };
    const options = {
      settings: { identityAttention },
      controls: controls.map(({ net, hint, shape, strength }) => ({ net, hint: { data: hint, shape }, strength })),
    };
    const outputs = await this.#evaluate(this.denoiser, inputs, options, ` at ${when}`, signal);
    return outputs.prediction as Float32Array;
  }

  /**
   * Encodes images.
   *
   * @param planes `[batch, 3, height, width]` of -1..1; sides multiples of `vaeScaleFactor`.
   * @returns the moments `[batch, 2 * latentChannels, height / f, width / f]` of the VAE's latent: mean, then log
   *   variance.
   */
  async encode(planes: Float32Array, shape: Shape): Promise<Float32Array> {
    const [, , height, width] = shape;
    const { vaeScaleFactor: factor } = this.info;
    const cells = { width: width / factor, height: height / factor };
    const outputs = await this.#evaluateVae('vae_encoder', 'encoding', { image: { data: planes, shape } }, cells);
    return outputs.moments as Float32Array;
  }

  /**
   * Decodes latents of the VAE.
   *
   * @returns planes `[batch, 3, height, width]` of about -1..1.
   */
  async decode(latent: Float32Array, shape: Shape): Promise<Float32Array> {
    const [, , height, width] = shape;
    const inputs = { latent: { data: latent, shape } };
    const outputs = await this.#evaluateVae('vae_decoder', 'decoding', inputs, { width, height });
    return outputs.image as Float32Array;
  }

  /** Decodes diffusion latents with the tiny autoencoder, like {@link decode}. */
  async preview(latent: Float32Array, shape: Shape): Promise<Float32Array> {
    const component = 'tiny_decoder' in this.#model.components ? 'tiny_decoder' : 'vae_decoder';
    const outputs = await this.#evaluate(component, { latent: { data: latent, shape } });
    return outputs.image as Float32Array;
  }

  /** @param cells size of the latent. */
  async #evaluateVae(
    component: string,
    stage: TileProgress['stage'],
    inputs: Readonly<Record<string, NativeArray>>,
    { width, height }: { readonly width: number; readonly height: number },
  ): Promise<Record<string, Float32Array>> {
    const settings = await this.vaeSettings(component, width, height);
    const { onTile } = this;
    if (!onTile) return this.#evaluate(component, inputs, { settings });
    // What the listener throws ends the evaluation.
    const ending = createAbortController();
    const onProgress = (done: number, total: number) => {
      if (ending.signal.aborted) return;
      try {
        onTile({ stage, done, total });
      } catch (error) {
        ending.abort(error);
      }
    };
    const unfollow = follow(ending, [this.signal]);
    try {
      const outputs = await this.#evaluate(component, inputs, { settings, onProgress }, '', ending.signal);
      throwIfAborted(ending.signal);
      return outputs;
    } finally {
      unfollow();
    }
  }

  async #evaluate(
    component: string,
    inputs: Readonly<Record<string, NativeArray | undefined>>,
    options: NativeEvaluation = {},
    when = '',
    signal = this.signal,
  ): Promise<Record<string, Float32Array>> {
    const all = { ...options, tileable: this.#tileable, loras: this.#loras };
    const outputs = await callNative(this.#addon, signal, (flag) => this.#model.evaluate(component, inputs, all, flag));
    for (const values of Object.values(outputs))
      requireFinite(values, `the ${this.#model.components[component]?.label}${when}`);
    return outputs;
  }
}

function denoiserOf({ components }: NativeModel): string {
  const [name] =
    Object.entries(components).find(([, { outputs }]) => outputs.some((port) => port.name === 'prediction')) ?? [];
  return name as string;
}

/**
 * @param origin where the values come from, for example `the UNet at step 3 of 20`.
 * @throws DiffusionError `ERR_NON_FINITE` if they are not all finite.
 */
export function requireFinite(values: Float32Array, origin: string): Float32Array {
  // 0 times any finite value is 0; one multiplication per value is far cheaper than a test.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += 0 * (values[i] as number);
  if (sum === 0) return values;
  const remedy = 'The weights may be damaged or too large for their type, or the guidance scale too large';
  throw new DiffusionError(
    'ERR_NON_FINITE',
    `Expected finite numbers from ${origin} but received NaN or infinity. ${remedy}`,
  );
}
