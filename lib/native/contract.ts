// The whole interface between TypeScript and the native addon, together with `conversion.ts` and `inspection.ts`.
// Nothing else in `lib/` touches the addon.
//
// Every promise rejects with an `Error` whose `code` is a `NativeErrorCode`. An invalid argument throws a `TypeError`
// (`ERR_INVALID_ARG_TYPE`) or a `RangeError` (`ERR_INVALID_ARG_VALUE`); functions that return a promise reject with it.
// Tensors are row-major float32 (the last axis is contiguous). Arrays are copied when a call is made and may be changed
// afterwards.

import type { DiffusionErrorCode } from '../core/errors.ts';
import type { ConversionReport, NativeConvertOptions, NativeTypes } from './conversion.ts';
import type { NativeComponent, NativeInspection, NativeNoise, NativeSource } from './inspection.ts';

export type { ConversionReport, NativeConvertOptions, NativeTypes } from './conversion.ts';
export type { NativeComponent, NativeInspection, NativeNoise, NativeSource } from './inspection.ts';

/** Codes of native errors: those of `DiffusionError`, and `ERR_CANCELLED` when a `NativeCancellation` has fired. */
export type NativeErrorCode = DiffusionErrorCode | 'ERR_CANCELLED';

/**
 * A flag that JavaScript sets and native work polls. Several calls may share one. Its constructor throws if memory is
 * short.
 */
export interface NativeCancellation {
  /** Cancels all work that was started with this flag; its promises reject with `ERR_CANCELLED`. */
  cancel(): void;
}

/** A compute device. */
export interface NativeDevice {
  /** Name to open a model with: `cpu`, `cuda0`, `vulkan0`, ... */
  readonly name: string;
  /** What drives it: `cpu`, `cuda`, `vulkan`, `metal`, ... */
  readonly backend: string;
  readonly description: string;
  readonly type: 'cpu' | 'gpu' | 'accelerator';
  /** Whether a GPU is a program on the CPU, such as Mesa's lavapipe. It is only used if asked for. */
  readonly software: boolean;
  /** Bytes; 0 if the device does not report it. */
  readonly memoryTotal: number;
  readonly memoryFree: number;
  /** ggml's flags for instruction sets, for example `AVX512 BF16 LLAMAFILE`. */
  readonly features: readonly string[];
}

/** Progress of loading: `done` of `total` bytes of weights are loaded. */
export interface NativeProgress {
  readonly stage: 'weights';
  readonly done: number;
  readonly total: number;
}

/** The noise that a model was trained with, if its files do not say so or are wrong. */
export interface NativeNoiseOptions {
  readonly prediction?: 'epsilon' | 'v' | undefined;
  readonly zeroTerminalSnr?: boolean | undefined;
  /** Of flow matching: the shift of the noise levels. */
  readonly flowShift?: number | undefined;
}

export interface NativeOpenOptions {
  /** Name from `devices()`. */
  readonly device: string;
  /** Compute threads, 1 to 512. */
  readonly threads: number;
  /** The type that is multiplied in. Default `auto`: `bf16` if the processor supports it; what a GPU does best. */
  readonly precision?: 'auto' | 'f32' | 'bf16';
  /**
   * Weights of large files are read from the mapped file if the device can do that. Default true; `false` copies them.
   */
  readonly mmap?: boolean;
  /**
   * When the weights of an idle component are unloaded: `keep` (default): never; `unload`: when another one is
   * evaluated; a number: when all components together would exceed this many bytes (copies and packed panels). Except
   * with `keep`, a component is loaded only when it is evaluated.
   */
  readonly residency?: 'keep' | 'unload' | number;
  /** Measure the time of every operation, see {@link NativeModel.profile}. Default false. */
  readonly profile?: boolean;
  readonly cancellation: NativeCancellation;
  /** Called at most every 20 ms while the model opens, and at the end. If it throws, `open` rejects. */
  readonly onProgress?: (progress: NativeProgress) => void;
  /**
   * Called for messages of this model, until it is disposed. If it throws while the model opens, `open` rejects; later
   * it is an uncaught exception, because the message may belong to no call.
   */
  readonly onLog?: (level: 'debug' | 'info' | 'warn' | 'error', message: string) => void;
}

/** A text encoder of an open model. */
export interface TextEncoderInfo {
  /** The name of its component. */
  readonly component: string;
  /** `clip` for OpenAI's, `openclip` for OpenCLIP's, whose prompts are padded with token 0; `qwen3`. */
  readonly kind: 'clip' | 'openclip' | 'qwen3';
  /** Tokens of one chunk (77) or most tokens of a text, vocabulary size, number of layers and width of the hidden states. */
  readonly positions: number;
  readonly vocabulary: number;
  readonly layers: number;
  readonly width: number;
  /** Width of the pooled output; 0 if the UNet takes none. */
  readonly projection: number;
  /** The layer whose output the UNet was trained with, counted from the last, which is 1. */
  readonly clipSkip: number;
}

/** Properties of an open model, read from its tensors, never from its file name. */
export interface LoadedModelInfo {
  /** See {@link NativeInspection.family}. */
  readonly family: string;
  /**
   * What the UNet predicts. The first of these that says so: the option; the scheduler's configuration; a tensor
   * `v_pred` or `ztsnr`, which mean `v`; the metadata; the weights of an SD 2 UNet, if they look like `v`. Otherwise
   * `epsilon`. Models of flow matching predict `flow`, noise minus image.
   */
  readonly prediction: 'epsilon' | 'v' | 'flow';
  /**
   * The noise levels: those of the scheduler's configuration, of the file's own table (`alphas_cumprod`), or of Stable
   * Diffusion; rescaled to zero terminal SNR if the option, the configuration (`rescale_betas_zero_snr`) or a tensor
   * `ztsnr` says so.
   */
  readonly noise: NativeNoise;
  /** Cumulative product of the alphas at each level, decreasing; undefined for the levels of Stable Diffusion. */
  readonly alphasCumprod?: readonly number[];
  readonly components: readonly NativeComponent[];
  /** Channels of the latent (4 for SD 1.x). */
  readonly latentChannels: number;
  /** Pixels along one side of a latent cell: 8 for SD 1.x. */
  readonly vaeScaleFactor: number;
  /** Sides of images are multiples of this many pixels: `vaeScaleFactor`, or twice that for Z-Image. */
  readonly sideMultiple: number;
  /** Whether there is a tiny autoencoder for previews, in addition to the VAE or in its place. */
  readonly tinyAutoencoder: boolean;
  /** Input channels of the UNet: those of the latent, and more for inpainting, editing and depth models. */
  readonly inChannels: number;
  /**
   * Size of the vector that is embedded and added to the timestep embedding (2816 for SDXL, 2560 for its refiner), or
   * 0.
   */
  readonly vectorSize: number;
  /** Size of the guidance scale embedding that a distilled UNet takes instead of guidance (256 for LCM), or 0. */
  readonly guidanceSize: number;
  /** Whether the UNet has a middle block with attention; some distilled ones have none. */
  readonly middleAttention: boolean;
  /** One, or two for SDXL. The UNet attends to their concatenated hidden states. */
  readonly textEncoders: readonly TextEncoderInfo[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Bytes of weights read from the mapped files, and bytes of copies on the device. */
  readonly mappedBytes: number;
  readonly allocatedBytes: number;
  readonly device: string;
  readonly threads: number;
  /** The type that is multiplied in, `f32` or `bf16`; empty if the device decides. */
  readonly precision: string;
}

/** The cost of one kind of operation in one network. */
export interface NativeProfileEntry {
  /** `text encoder`, `UNet`, `VAE decoder`, `VAE encoder`, `tiny decoder` or `upscaler`. */
  readonly network: string;
  /** `convolution`, `linear`, `attention`, ...; ggml's name if ggml computes it. */
  readonly operation: string;
  /** Number of operations in all evaluations. */
  readonly calls: number;
  readonly seconds: number;
  /** Floating-point operations of matrix products, convolutions and attention; 0 for other operations. */
  readonly flop: number;
  /** Bytes to read and write, each value once. */
  readonly bytes: number;
}

/** The axes along which convolutions are circular, so that the result can be tiled. */
export type NativeTileable = 'x' | 'y' | 'xy';

/** An input of a component. Ids are an `Int32Array`. */
export interface NativeArray {
  readonly data: Float32Array | Int32Array;
  readonly shape: readonly number[];
}

/** An input or an output that a component declares. */
export interface NativePort {
  readonly name: string;
  readonly type: 'f32' | 'i32';
  /**
   * Each dimension is a number, a named size (`batch`, `height`), which is the same everywhere, or a multiple of one
   * (`8 height`).
   */
  readonly shape: readonly (number | string)[];
  readonly optional: boolean;
}

/** The declaration of a component: all that is needed to evaluate it. */
export interface NativeSignature {
  /** Its name in messages: `UNet`, `VAE decoder`. */
  readonly label: string;
  readonly device: string;
  readonly inputs: readonly NativePort[];
  readonly outputs: readonly NativePort[];
  /** Integers that select one of its graphs. */
  readonly settings: Readonly<
    Record<string, { readonly least: number; readonly most: number; readonly default: number }>
  >;
}

/** A handle of something that a model has open for a caller. The garbage collector closes it too. */
export interface NativeHandle {
  /**
   * Releases it. When all handles are released, it is freed after the calls before this one. May be called repeatedly.
   */
  close(): Promise<void>;
}

/** An image that a ControlNet conditions the UNet on. */
export interface NativeControl {
  /** From {@link NativeModel.openControlNet}. */
  readonly net: NativeHandle;
  /** `[1, 3, height, width]` at the generated size, 0..1; used for all images of a batch. */
  readonly hint: NativeArray;
  /** Factor of the ControlNet's contribution to the UNet. */
  readonly strength: number;
}

/** Options of an evaluation. */
export interface NativeEvaluation {
  /** Settings that are absent have the component's defaults. */
  readonly settings?: Readonly<Record<string, number | boolean>>;
  readonly tileable?: NativeTileable | undefined;
  /** From {@link NativeModel.openLoras}; none by default. */
  readonly loras?: NativeHandle | undefined;
  /** At most 64. */
  readonly controls?: readonly NativeControl[];
  /**
   * Called while an evaluation goes on that is made of parts, such as tiles, at most every 20 ms and at the end. What it
   * throws is an uncaught exception.
   */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** The memory of a component, in bytes. */
export interface NativeMemory {
  /** Whether its weights are in memory. */
  readonly loaded: boolean;
  /** Weights read from the mapped files. */
  readonly mappedBytes: number;
  /** Weights copied to the device. */
  readonly allocatedBytes: number;
  /** Weights packed for the CPU's kernels, which are kept after the first evaluation. */
  readonly packedBytes: number;
  /** Compute buffers of evaluations. */
  readonly computeBytes: number;
}

/** What an evaluation takes. */
export interface NativeMemoryEstimate extends NativeMemory {
  /** Physical memory of the weights after it, mapped pages included. */
  readonly residentBytes: number;
  /** The same at most, while weights are streamed ({@link NativeModel.setResidency}). */
  readonly streamedBytes: number;
  /** Main memory that the weights take then, if the device has memory of its own. */
  readonly hostBytes: number;
}

/** A LoRA to apply. */
export interface LoraFile {
  /**
   * A safetensors, GGUF or PyTorch file. For PEFT's `adapter_model` files, the configuration next to them is read too.
   */
  readonly path: string;
  /** Factor of its changes; finite. */
  readonly weight: number;
  /** Factor of its changes to the text encoders, if it is different; finite. */
  readonly textEncoderWeight?: number;
}

/** How much of a LoRA was applied. */
export interface NativeLoraReport extends LoraFile {
  /** Number of its tensors that changed a layer of the model. At least 1. */
  readonly applied: number;
  /** Number of tensors in the file. */
  readonly tensors: number;
}

/** A set of LoRAs, read and matched to a model. */
export interface NativeLoras extends NativeHandle {
  readonly reports: readonly NativeLoraReport[];
}

/**
 * The components of one model, or one image-to-image network, on a worker thread of their own. Calls are queued and run
 * in order. None blocks the event loop, and none affects the result of another.
 */
export interface NativeModel<Info = LoadedModelInfo> {
  readonly info: Info;
  /**
   * By name. For models: `text_encoder` and `text_encoder_2` or `language_model`, `unet` or `transformer`,
   * `vae_decoder`, `vae_encoder`, and `tiny_decoder` for previews. For image-to-image networks: their kind.
   */
  readonly components: Readonly<Record<string, NativeSignature>>;
  /**
   * Evaluates a component. Loads it first if necessary.
   *
   * Using the LoRAs of the last evaluation again costs nothing. For other LoRAs, the affected layers are computed again
   * from the model's file.
   *
   * @returns its outputs.
   */
  evaluate(
    component: string,
    inputs: Readonly<Record<string, NativeArray | undefined>>,
    options: NativeEvaluation,
    cancellation: NativeCancellation,
  ): Promise<Record<string, Float32Array>>;
  /** The memory that an evaluation with inputs of these shapes would take. */
  estimate(
    component: string,
    shapes: Readonly<Record<string, readonly number[]>>,
    options?: NativeEvaluation,
  ): Promise<NativeMemoryEstimate>;
  /** Loads the weights of a component into memory, unless they are loaded. */
  load(component: string, cancellation: NativeCancellation): Promise<void>;
  /** Frees the weights and compute buffers of a component. The next evaluation loads it again. */
  unload(component: string): Promise<void>;
  /**
   * Changes the residency (see {@link NativeOpenOptions.residency}) for later evaluations.
   *
   * @param stream whether the CPU reads and packs weights for each operation anew, so that none of large files stays in
   *   memory. The results are the same. Devices with memory of their own ignore it.
   */
  setResidency(residency: 'keep' | 'unload' | number, stream: boolean): Promise<void>;
  /** The current memory of every component. */
  memory(): Promise<Record<string, NativeMemory>>;
  /**
   * Reads LoRAs for evaluations. Files that are in use are not read again.
   *
   * @param all whether tensors that cannot be applied are an error (`ERR_MODEL_MISMATCH`). By default they are reported
   *   to `onLog`, each time.
   */
  openLoras(loras: readonly LoraFile[], cancellation: NativeCancellation, all?: boolean): Promise<NativeLoras>;
  /**
   * Opens a ControlNet of the model's family for evaluations: a file or a diffusers folder. One that is open is not
   * read again.
   */
  openControlNet(path: string, cancellation: NativeCancellation): Promise<NativeHandle>;
  /** The cost of the evaluations so far, the most expensive operations first; empty without the option `profile`. */
  profile(): Promise<readonly NativeProfileEntry[]>;
  /**
   * Cancels running and waiting calls (`ERR_DISPOSED`) and frees everything; resolves when all is freed. May be called
   * repeatedly.
   */
  dispose(): Promise<void>;
}

/** A tensor read from a file. */
export interface NativeTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** An array in the metadata of a GGUF file, of numbers or of strings. */
export interface NativeMetadataArray {
  /** Empty for strings; booleans are 0 and 1. */
  readonly numbers: Float64Array;
  /** All strings in UTF-8, one after the other, and the end of each. */
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
}

/** Metadata of a GGUF file, by key. */
export interface NativeMetadata {
  readonly metadata: Readonly<Record<string, string>>;
  readonly arrays: Readonly<Record<string, NativeMetadataArray>>;
}

/** Properties of an open image-to-image network, read from its tensors. */
export interface ImageNetworkInfo {
  /** Its purpose. */
  readonly kind: 'upscaler' | 'depth';
  /**
   * `rrdbnet` for ESRGAN and Real-ESRGAN, `compact` for the small models of Real-ESRGAN (SRVGGNetCompact); `dpt` and
   * `dpt-hybrid` for the depth networks of MiDaS 3.
   */
  readonly architecture: string;
  /** Ratio of the output's side to the input's. */
  readonly scale: number;
  /** The sides of the input are multiples of this. */
  readonly multiple: number;
  readonly outputChannels: number;
  /** Side in pixels of the images that it was trained on; 0 if any size is suitable. */
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
  /** The type of the matrices. */
  readonly precision: 'f32' | 'bf16';
  readonly runs: number;
  /** Floating-point operations of one run. */
  readonly flop: number;
  /** Of the fastest run. */
  readonly seconds: number;
}

/**
 * The path of an image-to-image network: a safetensors, GGUF or PyTorch file. For depth also a file of a depth model,
 * whose depth network is used, or a transformers or diffusers folder.
 */
export interface NativeNetworkSource {
  readonly network: string;
}

export interface NativeAddon {
  /** `CONTRACT_VERSION` of the sources it was built from. */
  readonly contract: string;
  /** Version of ggml and the backends in this build: `cpu`, `cuda`, `vulkan`, `metal`. */
  readonly build: { readonly ggml: string; readonly backends: readonly string[] };
  /** Physical cores that this process may use. */
  readonly cores: number;
  readonly Cancellation: new () => NativeCancellation;
  devices(): NativeDevice[];
  /**
   * Writes a source as one file.
   * @param onProgress as in {@link NativeOpenOptions}
   */
  convert(
    source: NativeSource,
    options: NativeConvertOptions,
    onProgress: (progress: NativeProgress) => void,
    cancellation: NativeCancellation,
  ): Promise<ConversionReport>;
  /**
   * Loads the library of another backend, once; its devices are then among `devices()`. On trial each of them is opened
   * and closed, which a broken driver may not survive: it is for a process of its own. Throws `ERR_DEVICE` with the
   * reason if the library does not load or has no device.
   *
   * @returns the names of its devices.
   */
  loadBackend(path: string, trial?: boolean): string[];
  inspect(source: NativeSource, cancellation: NativeCancellation): Promise<NativeInspection>;
  /**
   * Measures the speed of matrix multiplication with the kernels of the networks. Takes about a second on all threads.
   */
  measureGemm(
    options: Pick<NativeOpenOptions, 'threads' | 'precision'>,
    cancellation: NativeCancellation,
  ): Promise<NativeGemmRate>;
  /** Opens a model. With types, its weights are those of a GGUF file that `convert` writes. Default: the source's. */
  open(
    source: NativeSource,
    options: NativeOpenOptions & NativeNoiseOptions & Partial<NativeTypes>,
  ): Promise<NativeModel>;
  /**
   * Opens an image-to-image network. Its kind is recognized by its tensors. It has one component, `upscaler` or
   * `depth`, with the input `image` `[batch, 3, height, width]`, 0..1, and the output `image`, not clamped; for depth,
   * nearness of at least 0, without a unit.
   */
  open(source: NativeNetworkSource, options: NativeOpenOptions): Promise<NativeModel<ImageNetworkInfo>>;
  /**
   * Reads the metadata of a GGUF file whose keys start with `prefix`, with arrays of any length: the vocabulary of a
   * language model, for example. More than 64 MiB of arrays are `ERR_MODEL_UNSUPPORTED`, as is any other format.
   */
  readMetadata(path: string, prefix: string, cancellation: NativeCancellation): Promise<NativeMetadata>;
  /**
   * Reads the floating-point and quantized tensors of a file as float32; other tensors are left out.
   * @param mostValues maximum number of values; a file with more is rejected before any is read
   * @param prefix reads only tensors whose names start with it; default: all
   */
  readTensors(
    path: string,
    mostValues: number,
    cancellation: NativeCancellation,
    prefix?: string,
  ): Promise<NativeTensor[]>;
}
