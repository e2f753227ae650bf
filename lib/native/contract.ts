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
  /**
   * When the weights of a component go that is not being evaluated: `keep` (default) for never; `unload`: when another one is
   * evaluated; a number: when those of all would take more bytes, copies and packed panels together. But with `keep`, nothing is loaded
   * before it is evaluated.
   */
  readonly residency?: 'keep' | 'unload' | number;
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
export interface TextEncoderInfo {
  /** The name of its component. */
  readonly component: string;
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
export interface LoadedModelInfo {
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
  readonly textEncoders: readonly TextEncoderInfo[];
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

/** Along which axes convolutions are circular, so that copies of the result can be laid side by side. */
export type NativeTileable = 'x' | 'y' | 'xy';

/** An input of a component: numbers in the order of their shape, ids as an `Int32Array`. */
export interface NativeArray {
  readonly data: Float32Array | Int32Array;
  readonly shape: readonly number[];
}

/** An input or an output that a component declares. */
export interface NativePort {
  readonly name: string;
  readonly type: 'f32' | 'i32';
  /** Each side is a number, a size that is the same wherever its name stands (`batch`, `height`), or a multiple of one (`8 height`). */
  readonly shape: readonly (number | string)[];
  readonly optional: boolean;
}

/** What a component declares. Nothing else is needed to evaluate it. */
export interface NativeSignature {
  /** Its name in messages: `UNet`, `VAE decoder`. */
  readonly label: string;
  readonly device: string;
  readonly inputs: readonly NativePort[];
  readonly outputs: readonly NativePort[];
  /** Integers that choose among its graphs. */
  readonly settings: Readonly<
    Record<string, { readonly least: number; readonly most: number; readonly default: number }>
  >;
}

/** What a caller holds of something that a model has open for it. The garbage collector closes it too. */
export interface NativeHandle {
  /** Lets it go: what nobody holds any more is freed once the calls before are done. Any number of calls. */
  close(): Promise<void>;
}

/** An image that a ControlNet conditions the UNet on. */
export interface NativeControl {
  /** From {@link NativeModel.openControlNet}. */
  readonly net: NativeHandle;
  /** `[1, 3, height, width]` of the image that is generated, 0..1; all images of a batch follow it. */
  readonly hint: NativeArray;
  /** Factor of what the ControlNet adds to the UNet. */
  readonly strength: number;
}

/** What an evaluation is asked for beside its inputs. */
export interface NativeEvaluation {
  /** Those that are left out are the component's defaults. */
  readonly settings?: Readonly<Record<string, number | boolean>>;
  readonly tileable?: NativeTileable | undefined;
  /** From {@link NativeModel.openLoras}; none by default. */
  readonly loras?: NativeHandle | undefined;
  /** At most 64. */
  readonly controls?: readonly NativeControl[];
}

/** The memory of a component, in bytes. */
export interface NativeMemory {
  /** Whether its weights are in memory. */
  readonly loaded: boolean;
  /** Weights that are read from the mapped files. */
  readonly mappedBytes: number;
  /** Weights that the device holds copies of. */
  readonly allocatedBytes: number;
  /** Weights in the order of the CPU's kernels that stay after the first evaluation. */
  readonly packedBytes: number;
  /** What evaluations compute in. */
  readonly computeBytes: number;
}

/** A LoRA to apply. */
export interface LoraFile {
  /** A safetensors, GGUF or PyTorch file. Of PEFT's `adapter_model` files, the configuration beside them is read too. */
  readonly path: string;
  /** What its changes are multiplied by; finite. */
  readonly weight: number;
  /** What those of text encoders are multiplied by, where that is another number; finite. */
  readonly textEncoderWeight?: number;
}

/** What became of a LoRA. */
export interface NativeLoraReport extends LoraFile {
  /** How many of its tensors changed a layer of the model. At least 1. */
  readonly applied: number;
  /** How many tensors the file has. */
  readonly tensors: number;
}

/** A set of LoRAs, read and fitted to a model. */
export interface NativeLoras extends NativeHandle {
  readonly reports: readonly NativeLoraReport[];
}

/**
 * The components of one model, or one network from images to images, on a worker thread of their own. Calls queue and run in order;
 * none blocks the event loop, and none changes what another one gives.
 */
export interface NativeModel<Info = LoadedModelInfo> {
  readonly info: Info;
  /**
   * By name. Of models: `text_encoder` and `text_encoder_2`, `unet`, `vae_decoder`, `vae_encoder`, and `tiny_decoder` for previews; of
   * networks from images to images their kind.
   */
  readonly components: Readonly<Record<string, NativeSignature>>;
  /**
   * Evaluates a component, which is loaded where it is not.
   *
   * The LoRAs of the last evaluation again cost nothing; for others the layers concerned are computed from the model's file anew.
   *
   * @returns its outputs.
   */
  evaluate(
    component: string,
    inputs: Readonly<Record<string, NativeArray | undefined>>,
    options: NativeEvaluation,
    cancellation: NativeCancellation,
  ): Promise<Record<string, Float32Array>>;
  /** The memory that an evaluation takes with inputs of these shapes, without one. */
  estimate(
    component: string,
    shapes: Readonly<Record<string, readonly number[]>>,
    options?: NativeEvaluation,
  ): Promise<NativeMemory>;
  /** Reads the weights of a component into memory, where they are not there. */
  load(component: string, cancellation: NativeCancellation): Promise<void>;
  /** Frees the weights of a component and the memory that it computes in. The next evaluation loads it again. */
  unload(component: string): Promise<void>;
  /** The memory of every component now. */
  memory(): Promise<Record<string, NativeMemory>>;
  /**
   * Reads LoRAs for evaluations. Files that were read and are in use are not read again.
   *
   * @param all whether tensors that are not applied are refused (`ERR_MODEL_MISMATCH`). By default `onLog` hears of them, each time.
   */
  openLoras(loras: readonly LoraFile[], cancellation: NativeCancellation, all?: boolean): Promise<NativeLoras>;
  /** Opens a ControlNet for evaluations: a file, or a diffusers folder, of the model's family. One that is open is not read again. */
  openControlNet(path: string, cancellation: NativeCancellation): Promise<NativeHandle>;
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
export interface ImageNetworkInfo {
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
  /** As in {@link LoadedModelInfo}. */
  readonly mappedBytes: number;
  readonly allocatedBytes: number;
  readonly device: string;
  readonly threads: number;
  readonly precision: string;
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
export interface ConversionReport {
  /** How many tensors the file has, and its size. */
  readonly tensors: number;
  readonly bytes: number;
  /** How many tensors there are of each type. */
  readonly types: Readonly<Record<string, number>>;
}

/**
 * The path of a network from images to images: a safetensors, GGUF or PyTorch file. Depth: also one of a model that takes depth, whose
 * network for that is taken, or a folder of transformers or diffusers.
 */
export interface NativeNetworkSource {
  readonly network: string;
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
  ): Promise<ConversionReport>;
  inspect(source: NativeSource, cancellation: NativeCancellation): Promise<NativeInspection>;
  /** Takes about a second on all threads: the yardstick for the speed of networks, by the kernels that evaluate them. */
  measureGemm(
    options: Pick<NativeOpenOptions, 'threads' | 'precision'>,
    cancellation: NativeCancellation,
  ): Promise<NativeGemmRate>;
  open(source: NativeSource, options: NativeOpenOptions & NativeNoiseOptions): Promise<NativeModel>;
  /**
   * Opens a network from images to images, of a kind recognised by its tensors: one component `upscaler` or `depth`, from `image`
   * `[batch, 3, height, width]` of 0..1 to `image`, not clamped; depth: how near, from 0 on, in no unit.
   */
  open(source: NativeNetworkSource, options: NativeOpenOptions): Promise<NativeModel<ImageNetworkInfo>>;
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
}
