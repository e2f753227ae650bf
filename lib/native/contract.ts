// The whole interface between TypeScript and the native addon, with what `inspection.ts` says of a model's files. Nothing else in
// `lib/` touches the addon.
//
// Every promise rejects with an `Error` whose `code` is one of `NativeErrorCode`. A misused argument gives a `TypeError`
// (`ERR_INVALID_ARG_TYPE`) or a `RangeError` (`ERR_INVALID_ARG_VALUE`); functions that return a promise reject with it.
// Tensors are row-major float32 in the order that their shape gives, the last axis contiguous. Arrays are copied when a
// call is made, and may be changed afterwards.

import type { DiffusionErrorCode } from '../core/errors.ts';
import type { NativeComponent, NativeInspection, NativeNoise, NativeSource } from './inspection.ts';

export type { NativeComponent, NativeInspection, NativeNoise, NativeSource } from './inspection.ts';

/** Codes that native errors carry: those of `DiffusionError`, and `ERR_CANCELLED` when a `NativeCancellation` fired. */
export type NativeErrorCode = DiffusionErrorCode | 'ERR_CANCELLED';

/** A flag that JavaScript raises and native work polls. One flag may serve several calls. Its constructor throws where memory is short. */
export interface NativeCancellation {
  /** Ends all work that was started with this flag; its promises reject with `ERR_CANCELLED`. */
  cancel(): void;
}

/** A compute device. */
export interface NativeDevice {
  /** Name to open a model with: `cpu`, `cuda0`, `vulkan0`, `metal0`, ... */
  readonly name: string;
  readonly description: string;
  readonly type: 'cpu' | 'gpu' | 'accelerator';
  /** Bytes; 0 where the device does not say. */
  readonly memoryTotal: number;
  readonly memoryFree: number;
  /** What computes: ggml's instruction set flags, for example `AVX512 BF16 LLAMAFILE`. */
  readonly features: readonly string[];
}

/** How far a load is: `done` of `total` bytes of weights are in place. */
export interface NativeProgress {
  readonly stage: 'weights';
  readonly done: number;
  readonly total: number;
}

/** What a user says of the noise that a model was trained with, where its files say nothing or say it wrong. */
export interface NativeNoiseOptions {
  readonly prediction?: 'epsilon' | 'v' | undefined;
  readonly zeroTerminalSnr?: boolean | undefined;
}

export interface NativeOpenOptions {
  /** Name from `devices()`. */
  readonly device: string;
  /** Compute threads, 1 to 512. */
  readonly threads: number;
  /** The numbers that the CPU multiplies. Default `auto`: `bf16` where the processor has it. */
  readonly precision?: 'auto' | 'f32' | 'bf16';
  /** Weights of large files are read from the mapped file where the device can. Default true; `false` copies them. */
  readonly mmap?: boolean;
  /** Take the time of every operation, see {@link NativeModel.profile}. Default false. */
  readonly profile?: boolean;
  readonly cancellation: NativeCancellation;
  /** Called at most every 20 ms while the model opens, and with the whole at its end. What it throws rejects `open`. */
  readonly onProgress?: (progress: NativeProgress) => void;
  /**
   * Called for messages of this model, until it is disposed. What it throws rejects `open` while the model opens, and is an
   * uncaught exception afterwards, for then no single call is to blame.
   */
  readonly onLog?: (level: 'debug' | 'info' | 'warn' | 'error', message: string) => void;
}

/** A text encoder of an open model. */
export interface NativeTextEncoder {
  /** `clip` for those of OpenAI, `openclip` for those of OpenCLIP, which take prompts padded with token 0. */
  readonly kind: 'clip' | 'openclip';
  /** Tokens of one chunk (77), vocabulary size, number of layers and width of the hidden states. */
  readonly positions: number;
  readonly vocabulary: number;
  readonly layers: number;
  readonly width: number;
  /** Width of the pooled output; 0 where the UNet takes none. */
  readonly projection: number;
  /** The layer whose output the UNet was trained with, counted from the last, which is 1. */
  readonly clipSkip: number;
}

/** What an open model is; read from its tensors, never from its file name. */
export interface NativeModelInfo {
  /** As {@link NativeInspection.family}. */
  readonly family: string;
  /**
   * What the UNet predicts: what the option says, otherwise the scheduler's configuration; `v` where the file has one of the marks of
   * models that do (tensors `v_pred` and `ztsnr`); what its metadata says; otherwise `v` where the weights of an SD 2 UNet look like it,
   * and `epsilon`.
   */
  readonly prediction: 'epsilon' | 'v';
  /**
   * The noise levels: those of the scheduler's configuration, of the file's own table (`alphas_cumprod`), or of Stable Diffusion;
   * rescaled to a zero terminal SNR where the option, the configuration (`rescale_betas_zero_snr`) or a tensor `ztsnr` says so.
   */
  readonly noise: NativeNoise;
  /** Product of the alphas up to each level, falling; undefined for the levels of Stable Diffusion. */
  readonly alphasCumprod?: readonly number[];
  readonly components: readonly NativeComponent[];
  /** Channels of the latent (4 for SD 1.x). */
  readonly latentChannels: number;
  /** Pixels along one side of a latent's cell: 8 for SD 1.x. */
  readonly vaeScaleFactor: number;
  /** Factor from VAE latent to diffusion latent: 0.18215 for SD 1.x and 2.x, 0.13025 for SDXL, 1 where the VAE is a tiny autoencoder. */
  readonly scalingFactor: number;
  /** Whether a tiny autoencoder is there for previews: beside the VAE, or in its place. */
  readonly tinyAutoencoder: boolean;
  /** Channels that the UNet takes: those of the latent, and more where it inpaints, edits or follows depth. */
  readonly inChannels: number;
  /** Numbers that the UNet adds to the embedding of the timestep (2816 for SDXL, 2560 for its refiner), or 0. */
  readonly vectorSize: number;
  /** Size of the embedding of the guidance scale that a distilled UNet takes instead of guidance (256 for LCM), or 0. */
  readonly guidanceSize: number;
  /** Whether the UNet has a middle block with attention; some distilled ones have none. */
  readonly middleAttention: boolean;
  /** One, or two for SDXL. The UNet attends to their hidden states side by side. */
  readonly textEncoders: readonly NativeTextEncoder[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Bytes of weights that are read from the mapped files, and bytes that the device holds of copies. */
  readonly mappedBytes: number;
  readonly allocatedBytes: number;
  readonly device: string;
  readonly threads: number;
  /** The numbers that the CPU multiplies, `f32` or `bf16`; empty where the device decides. */
  readonly precision: string;
}

/** What the operations of one kind cost in one network. */
export interface NativeProfileEntry {
  /** `text encoder`, `UNet`, `VAE decoder`, `VAE encoder`, `tiny decoder` or `upscaler`. */
  readonly network: string;
  /** `convolution`, `linear`, `attention`, ...; a name of ggml's where ggml computes it. */
  readonly operation: string;
  /** How many operations there were, in all evaluations together. */
  readonly calls: number;
  readonly seconds: number;
  /** Floating-point operations of matrix products, convolutions and attention; 0 for other operations. */
  readonly flop: number;
  /** Bytes that it had to read and write, each number once. */
  readonly bytes: number;
}

/** What a text encoder makes of chunks of tokens. */
export interface NativeTextEncoding {
  /** `[chunks, positions, width]`, after the final layer norm but for SDXL. */
  readonly hidden: Float32Array;
  /** `[chunks, projection]`: the last layer's output at each chunk's first end token, normed and projected. */
  readonly pooled: Float32Array;
}

/** Along which axes convolutions are circular, so that copies of the result can be laid side by side. */
export type NativeTileable = 'x' | 'y' | 'xy';

/** What a UNet is conditioned with. */
export interface NativeCondition {
  /** `[batch, contextTokens, context size]`: hidden states, of two text encoders side by side. */
  readonly context: Float32Array;
  readonly contextTokens: number;
  /** `[batch, vectorSize]`; left out where that is 0. */
  readonly vector?: Float32Array;
  /** `[batch, guidanceSize]`; left out where that is 0. */
  readonly guidance?: Float32Array;
  /**
   * Makes the self-attention of the middle block the identity: what each pixel has to say goes to itself alone (perturbed-attention
   * guidance). Default false. `ERR_MODEL_UNSUPPORTED` where the UNet has none there, see {@link NativeModelInfo.middleAttention}.
   */
  readonly identityAttention?: boolean;
  /** At most 64. */
  readonly controls?: readonly NativeControl[];
  readonly tileable?: NativeTileable;
}

/** An image that a ControlNet leads the UNet by. */
export interface NativeControl {
  /** Index into the paths given to {@link NativeModel.setControlNets}. */
  readonly net: number;
  /** `[1, 3, height, width]` of the image that is drawn, 0..1; all images of a batch follow it. */
  readonly hint: Float32Array;
  readonly shape: readonly [number, number, number, number];
  /** Factor of what the ControlNet adds to the UNet. */
  readonly strength: number;
}

/** A LoRA to apply. */
export interface NativeLora {
  /** A safetensors, GGUF or PyTorch file. Of PEFT's `adapter_model` files, the configuration beside them is read too. */
  readonly path: string;
  /** What its changes are multiplied by; finite. */
  readonly weight: number;
  /** What those of text encoders are multiplied by, where that is another number; finite. */
  readonly textEncoderWeight?: number;
}

/** What became of a LoRA. */
export interface NativeLoraReport extends NativeLora {
  /** How many of its tensors changed a layer of the model. At least 1. */
  readonly applied: number;
  /** How many tensors the file has. */
  readonly tensors: number;
}

/** A model on its own worker thread. Calls queue and run in order; none blocks the event loop. */
export interface NativeModel {
  readonly info: NativeModelInfo;
  /**
   * Replaces the LoRAs in force. The same files with the same weights again cost nothing; otherwise the layers concerned are
   * computed from the model's file anew when they are next evaluated. Where it rejects, those before stay in force.
   * @param all whether tensors that are not applied are refused (`ERR_MODEL_MISMATCH`). By default `onLog` hears of them, each time.
   */
  setLoras(loras: readonly NativeLora[], cancellation: NativeCancellation, all?: boolean): Promise<NativeLoraReport[]>;
  /**
   * @param encoder index into `info.textEncoders`
   * @param tokens `[chunks, positions]`
   * @param clipSkip 1 = the last layer's output, 2 = the one before, ... at most `layers`
   * @param vectors `[n, width]`: what takes the place of tokens `vocabulary` to `vocabulary + n - 1`, which are none
   */
  encodeText(
    encoder: number,
    tokens: Int32Array,
    clipSkip: number,
    cancellation: NativeCancellation,
    vectors?: Float32Array,
  ): Promise<NativeTextEncoding>;
  /**
   * Makes these the open ControlNets: files, or diffusers folders, of the model's family, each path once and at most 64. One that
   * is open under its path stays open, others are freed. Nothing changes where one of them is refused or memory is short (but on
   * a GPU without room for those before and those after at once: then none stays open).
   */
  setControlNets(paths: readonly string[], cancellation: NativeCancellation): Promise<void>;
  /**
   * One UNet evaluation of a whole batch.
   * @param latent `[batch, inChannels, height, width]`, already scaled for the network
   * @param shape `[batch, inChannels, height, width]`
   * @param timesteps `[batch]`, may be fractional
   * @returns the raw prediction `[batch, latentChannels, height, width]`
   */
  predict(
    latent: Float32Array,
    shape: readonly [number, number, number, number],
    timesteps: Float32Array,
    condition: NativeCondition,
    cancellation: NativeCancellation,
  ): Promise<Float32Array>;
  /**
   * VAE decoder.
   * @param latent `[batch, latentChannels, height, width]`, already divided by the scaling factor
   * @returns `[batch, 3, height * vaeScaleFactor, width * vaeScaleFactor]`, about -1..1, not clamped
   */
  decode(
    latent: Float32Array,
    shape: readonly [number, number, number, number],
    cancellation: NativeCancellation,
    tileable?: NativeTileable,
  ): Promise<Float32Array>;
  /**
   * VAE encoder.
   * @param image `[batch, 3, height, width]`, -1..1; sides multiples of `vaeScaleFactor`
   * @returns the moments `[batch, 2 * latentChannels, height / f, width / f]`: mean, then log variance, not scaled
   */
  encode(
    image: Float32Array,
    shape: readonly [number, number, number, number],
    cancellation: NativeCancellation,
    tileable?: NativeTileable,
  ): Promise<Float32Array>;
  /**
   * Decodes by the tiny autoencoder; only where `info.tinyAutoencoder` says that there is one.
   * @param latent `[batch, latentChannels, height, width]` of the diffusion
   * @returns as {@link decode}
   */
  preview(
    latent: Float32Array,
    shape: readonly [number, number, number, number],
    cancellation: NativeCancellation,
    tileable?: NativeTileable,
  ): Promise<Float32Array>;
  /** What the evaluations so far cost, the most expensive operations first; empty without the option `profile`. */
  profile(): Promise<readonly NativeProfileEntry[]>;
  /** Cancels what runs and what waits (`ERR_DISPOSED`), frees everything; resolves when all is freed. Any number of calls. */
  dispose(): Promise<void>;
}

/** A tensor that was read from a file. */
export interface NativeTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** What an open network from images to images is; read from its tensors. */
export interface NativeImageNetworkInfo {
  /** What it is for. */
  readonly kind: 'upscaler' | 'depth';
  /**
   * `rrdbnet` for ESRGAN and Real-ESRGAN, `compact` for the small models of Real-ESRGAN (SRVGGNetCompact); `dpt` and `dpt-hybrid` for
   * the depth networks of MiDaS 3.
   */
  readonly architecture: string;
  /** Pixels that come out along a side of each that goes in. */
  readonly scale: number;
  /** Sides of what goes in are multiples of this. */
  readonly multiple: number;
  readonly outputChannels: number;
  /** Side in pixels of the images that it was made for; 0 where that does not matter. */
  readonly side: number;
  readonly parameters: number;
  /** As in {@link NativeModelInfo}. */
  readonly mappedBytes: number;
  readonly allocatedBytes: number;
  readonly device: string;
  readonly threads: number;
  readonly precision: string;
}

/** A network from images to images on its own worker thread, otherwise as {@link NativeModel}. */
export interface NativeImageNetwork {
  readonly info: NativeImageNetworkInfo;
  /**
   * @param image `[batch, 3, height, width]`, 0..1; sides multiples of `multiple`
   * @returns `[batch, outputChannels, height * scale, width * scale]`, not clamped; depth: how near, from 0 on, in no unit
   */
  evaluate(
    image: Float32Array,
    shape: readonly [number, number, number, number],
    cancellation: NativeCancellation,
  ): Promise<Float32Array>;
  profile(): Promise<readonly NativeProfileEntry[]>;
  dispose(): Promise<void>;
}

/** How fast the CPU multiplies two matrices of 3840x3840. */
export interface NativeGemmRate {
  /** The numbers that were multiplied. */
  readonly precision: 'f32' | 'bf16';
  readonly runs: number;
  /** Floating-point operations of one run. */
  readonly flop: number;
  /** Of the fastest run. */
  readonly seconds: number;
}

/** How files are converted; every member is there. */
export interface NativeConvertOptions {
  /** Where the file will be in the end, for messages; it must be none of the source's. */
  readonly output: string;
  /** Where it is written; what is there is written over, and left half written where the conversion fails. */
  readonly temporary: string;
  readonly format: 'gguf' | 'safetensors';
  /** Name of a type; empty for the types of the source. */
  readonly type: string;
  /** Types for tensors whose names a regular expression of ECMAScript is found in, instead. */
  readonly rules: readonly { readonly pattern: string; readonly type: string }[];
  readonly keepConvolutions: boolean;
  /** What the file says besides the metadata of the source. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly threads: number;
}

/** What a conversion wrote. */
export interface NativeConversion {
  /** How many tensors the file has, and its size. */
  readonly tensors: number;
  readonly bytes: number;
  /** How many tensors there are of each type. */
  readonly types: Readonly<Record<string, number>>;
}

export interface NativeAddon {
  /** `CONTRACT_VERSION` of the sources that it was built from. */
  readonly contract: string;
  /** Version of ggml and the backends in this build: `cpu`, `cuda`, `vulkan`, `metal`. */
  readonly build: { readonly ggml: string; readonly backends: readonly string[] };
  /** Physical cores that this process may use. */
  readonly cores: number;
  readonly Cancellation: new () => NativeCancellation;
  devices(): NativeDevice[];
  /**
   * Writes a source as one file.
   * @param onProgress as of {@link NativeOpenOptions}
   */
  convert(
    source: NativeSource,
    options: NativeConvertOptions,
    onProgress: (progress: NativeProgress) => void,
    cancellation: NativeCancellation,
  ): Promise<NativeConversion>;
  inspect(source: NativeSource, cancellation: NativeCancellation): Promise<NativeInspection>;
  /** Takes about a second on all threads: the yardstick for the speed of networks, by the kernels that evaluate them. */
  measureGemm(
    options: Pick<NativeOpenOptions, 'threads' | 'precision'>,
    cancellation: NativeCancellation,
  ): Promise<NativeGemmRate>;
  open(source: NativeSource, options: NativeOpenOptions & NativeNoiseOptions): Promise<NativeModel>;
  /**
   * Reads a small file as a whole, or a part of a larger one: its tensors of floating-point or quantized numbers, in float32; others
   * are left out.
   * @param mostValues more numbers than this in all are refused, before any is read
   * @param prefix what the names of those begin with that are read; default all
   */
  readTensors(
    path: string,
    mostValues: number,
    cancellation: NativeCancellation,
    prefix?: string,
  ): Promise<NativeTensor[]>;
  /**
   * Opens a network from images to images, of a kind recognised by its tensors.
   * @param path of a safetensors, GGUF or PyTorch file. Depth: also one of a model that draws with depth, whose network for that is
   *   taken, or a folder of transformers or diffusers.
   */
  openImageNetwork(path: string, options: NativeOpenOptions): Promise<NativeImageNetwork>;
}
