// The networks of a native model as tests call them: one after the other, with the LoRAs and ControlNets that were set last.

import type {
  ImageNetworkInfo,
  LoraFile,
  NativeArray,
  NativeCancellation,
  NativeEvaluation,
  NativeHandle,
  NativeLoraReport,
  NativeLoras,
  NativeModel,
  NativeNoiseOptions,
  NativeOpenOptions,
  NativeProfileEntry,
  NativeSource,
  NativeTileable,
} from '../../lib/native/contract.ts';
import { loadAddon } from '../../lib/native/load.ts';
import type { Condition } from '../../lib/native/networks.ts';

/** What a text encoder of CLIP gives for chunks of tokens. */
export interface TextEncoding {
  /** `[chunks, positions, width]`, after the final layer norm but for SDXL. */
  readonly hidden: Float32Array;
  /** `[chunks, projection]`: the last layer's output at each chunk's first end token, normed and projected; empty without a projection. */
  readonly pooled: Float32Array;
}

export type Shape = readonly [number, number, number, number];

/** An image that a ControlNet conditions on, by the index of the ControlNet among those that were set. */
export interface TestControl {
  readonly net: number;
  readonly hint: Float32Array;
  readonly shape: Shape;
  readonly strength: number;
}

export interface TestCondition extends Omit<Condition, 'controls'> {
  readonly controls?: readonly TestControl[];
  readonly tileable?: NativeTileable;
}

export class TestModel {
  readonly native: NativeModel;
  #loras: NativeLoras | undefined;
  #controlNets: readonly NativeHandle[] = [];

  constructor(native: NativeModel) {
    this.native = native;
  }

  get info(): NativeModel['info'] {
    return this.native.info;
  }

  async #evaluate(
    component: string,
    inputs: Record<string, NativeArray | undefined>,
    options: NativeEvaluation,
    flag: NativeCancellation,
  ): Promise<Record<string, Float32Array>> {
    return this.native.evaluate(component, inputs, { ...options, loras: this.#loras }, flag);
  }

  async setLoras(
    loras: readonly LoraFile[],
    flag: NativeCancellation,
    all?: boolean,
  ): Promise<readonly NativeLoraReport[]> {
    const opened = await this.native.openLoras(loras, flag, all);
    await this.#loras?.close();
    this.#loras = opened;
    return opened.reports;
  }

  async setControlNets(paths: readonly string[], flag: NativeCancellation): Promise<void> {
    const opened: NativeHandle[] = [];
    for (const path of paths) opened.push(await this.native.openControlNet(path, flag));
    for (const handle of this.#controlNets) await handle.close();
    this.#controlNets = opened;
  }

  async encodeText(
    encoder: number,
    tokens: Int32Array,
    clipSkip: number,
    flag: NativeCancellation,
    vectors?: Float32Array,
  ): Promise<TextEncoding> {
    const { component, positions, width } = this.info.textEncoders[encoder] ?? {
      ...{ component: 'text_encoder', positions: 77, width: 64 },
    };
    const inputs = {
      tokens: { data: tokens, shape: [tokens.length / positions, positions] },
      vectors: vectors?.length ? { data: vectors, shape: [Math.ceil(vectors.length / width), width] } : undefined,
    };
    const { hidden, pooled } = await this.#evaluate(component, inputs, { settings: { clipSkip } }, flag);
    return { hidden: hidden as Float32Array, pooled: pooled ?? new Float32Array() };
  }

  async predict(
    latent: Float32Array,
    shape: Shape,
    timesteps: Float32Array,
    { context, contextTokens, vector, guidance, identityAttention = false, controls, tileable }: TestCondition,
    flag: NativeCancellation,
  ): Promise<Float32Array> {
    const [batch] = shape;
    const rows = (data: Float32Array | undefined) => data && { data, shape: [batch, data.length / batch] };
    const inputs = {
      latent: { data: latent, shape },
      timesteps: { data: timesteps, shape: [timesteps.length] },
      context: { data: context, shape: [batch, contextTokens, context.length / (batch * contextTokens)] },
      ...{ vector: rows(vector), guidance: rows(guidance) },
    };
    const options: NativeEvaluation = {
      settings: { identityAttention },
      tileable,
      controls: (controls ?? []).map(({ net, hint, shape, strength }) => {
        return { net: this.#controlNets[net] as NativeHandle, hint: { data: hint, shape }, strength };
      }),
    };
    return (await this.#evaluate('unet', inputs, options, flag)).prediction as Float32Array;
  }

  async decode(
    data: Float32Array,
    shape: readonly number[],
    flag: NativeCancellation,
    tileable?: NativeTileable,
  ): Promise<Float32Array> {
    return (await this.#evaluate('vae_decoder', { latent: { data, shape } }, { tileable }, flag)).image as Float32Array;
  }

  async encode(data: Float32Array, shape: readonly number[], flag: NativeCancellation): Promise<Float32Array> {
    return (await this.#evaluate('vae_encoder', { image: { data, shape } }, {}, flag)).moments as Float32Array;
  }

  async preview(data: Float32Array, shape: readonly number[], flag: NativeCancellation): Promise<Float32Array> {
    return (await this.#evaluate('tiny_decoder', { latent: { data, shape } }, {}, flag)).image as Float32Array;
  }

  profile(): Promise<readonly NativeProfileEntry[]> {
    return this.native.profile();
  }

  dispose(): Promise<void> {
    return this.native.dispose();
  }
}

export async function openModel(
  source: NativeSource,
  options: NativeOpenOptions & NativeNoiseOptions,
): Promise<TestModel> {
  return new TestModel(await loadAddon().open(source, options));
}

/** A network from images to images. */
export type TestImageNetwork = NativeModel<ImageNetworkInfo>;

export async function evaluateImage(
  network: TestImageNetwork,
  data: Float32Array,
  shape: readonly number[],
  flag: NativeCancellation,
): Promise<Float32Array> {
  const outputs = await network.evaluate(network.info.kind, { image: { data, shape } }, {}, flag);
  return outputs.image as Float32Array;
}
