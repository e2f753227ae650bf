// A model's files: how they are given to the native addon, and what it reports about them. Part of the interface in
// `contract.ts`.

/**
 * Where the parts of a model come from: paths of safetensors files, safetensors indexes (`*.index.json`), GGUF files,
 * PyTorch checkpoints, or diffusers folders. A part given on its own replaces that of `model`.
 */
export interface NativeSource {
  readonly model?: string;
  readonly unet?: string;
  readonly textEncoder?: string;
  /** The second text encoder of SDXL; the only one of its refiner. */
  readonly textEncoder2?: string;
  /** A text encoder that is a language model: Qwen3 of Z-Image. */
  readonly llm?: string;
  /** May be a tiny autoencoder (TAESD). */
  readonly vae?: string;
  /** A tiny autoencoder for previews, in addition to the VAE. */
  readonly taesd?: string;
}

/** One network found in the files. */
export interface NativeComponent {
  readonly kind:
    | 'unet'
    | 'transformer'
    | 'text_encoder'
    | 'text_encoder_2'
    | 'language_model'
    | 'vae'
    | 'tiny_autoencoder';
  /** Number of parameters, and their size in the file in bytes. */
  readonly parameters: number;
  readonly bytes: number;
  /**
   * Number of tensors per type, by ggml's name (`f16`, `q8_0`, ...) or that of safetensors in lower case (`f8_e4m3`,
   * ...).
   */
  readonly types: Readonly<Record<string, number>>;
  /** The sizes read from its shapes, for example `{ modelChannels: 320, contextSize: 768 }`. */
  readonly config: Readonly<Record<string, number | boolean | string | readonly number[]>>;
}

/** The noise levels that a denoiser was trained on. */
export interface NativeNoise {
  /**
   * Their origin: a beta schedule by diffusers' name (`scaled_linear`, as in Stable Diffusion, `linear`,
   * `squaredcos_cap_v2`, `trained_betas`), the name of the tensor that contains them, or `flow` for flow matching.
   */
  readonly schedule: string;
  /** Number of levels (training steps): 1000 for all published Stable Diffusion models. */
  readonly steps: number;
  /** Whether they are rescaled so that the last is pure noise (Lin et al. 2023, arXiv:2305.08891). */
  readonly zeroTerminalSnr: boolean;
  /**
   * The timestep spacing in the scheduler's configuration: `leading`, `trailing`, `linspace`, or `karras`,
   * `exponential` or `beta` sigmas; undefined if it has none.
   */
  readonly spacing: 'leading' | 'trailing' | 'linspace' | 'karras' | 'exponential' | 'beta' | undefined;
  /** The shift of flow matching, if the scheduler's configuration or the option says it. */
  readonly shift: number | undefined;
}

/** What the headers of a model's files contain; no weights are read. */
export interface NativeInspection {
  readonly files: readonly {
    readonly path: string;
    readonly format: 'safetensors' | 'gguf' | 'pytorch';
    readonly bytes: number;
    readonly tensors: number;
  }[];
  /**
   * What the tensors are; a part of a model is a `model`. Undefined if their names are unknown. Files other than models
   * have no components and none of the name lists below.
   */
  readonly kind: 'model' | 'lora' | 'embedding' | 'controlnet' | 'taesd' | 'upscaler' | 'depth' | undefined;
  /**
   * `sd1`, `sd2`, `sdxl` or `sdxl-refiner`, with the suffix `-inpaint`, `-depth` or `-edit` if the UNet takes 9, 5 or 8
   * channels; `z-image`; `sd3` and `flux`, which are recognized but not supported; undefined if no known family matches.
   */
  readonly family: string | undefined;
  /** `ldm` for the original tensor names, `diffusers` for those of diffusers. */
  readonly layout: string | undefined;
  readonly components: readonly NativeComponent[];
  /**
   * As {@link LoadedModelInfo.prediction} and {@link LoadedModelInfo.noise}; undefined without a denoiser, and for
   * other kinds of noise.
   */
  readonly prediction: 'epsilon' | 'v' | 'flow' | undefined;
  readonly noise: NativeNoise | undefined;
  /** Networks of a complete model that the files lack; empty if they contain no part of a model. */
  readonly absent: readonly ('unet' | 'transformer' | 'text_encoder' | 'text_encoder_2' | 'language_model' | 'vae')[];
  /** Tensors that the networks in the files need and that are absent. */
  readonly missing: readonly string[];
  /** Present, but with another shape or type than the network requires: `name: reason`. */
  readonly mismatched: readonly string[];
  /** Present, but not used by any component. */
  readonly unused: readonly string[];
  /**
   * Free-form metadata of the first file (safetensors `__metadata__`, GGUF key-value pairs, numbers and texts next to
   * the tensors of a PyTorch checkpoint), with values as strings.
   */
  readonly metadata: Readonly<Record<string, string>>;
}
