// A model's files: how the native addon is given them, and what it says of them. A part of the interface in `contract.ts`.

/**
 * Where the parts of a model come from: paths of safetensors files, safetensors indexes (`*.index.json`), GGUF files, PyTorch
 * checkpoints, or diffusers folders. A part given on its own replaces that of `model`.
 */
export interface NativeSource {
  readonly model?: string;
  readonly unet?: string;
  readonly textEncoder?: string;
  /** The second text encoder of SDXL, which its refiner has alone. */
  readonly textEncoder2?: string;
  /** May be a tiny autoencoder (TAESD). */
  readonly vae?: string;
  /** A tiny autoencoder beside the VAE, for previews. */
  readonly taesd?: string;
}

/** One network found in the files. */
export interface NativeComponent {
  readonly kind: 'unet' | 'text_encoder' | 'text_encoder_2' | 'vae' | 'tiny_autoencoder';
  /** Parameters of its tensors, and their size in the file in bytes. */
  readonly parameters: number;
  readonly bytes: number;
  /** How many tensors there are of each type, by ggml's name of it (`f16`, `q8_0`, ...) or that of safetensors in lower case (`f8_e4m3`, ...). */
  readonly types: Readonly<Record<string, number>>;
  /** The sizes read from its shapes, for example `{ modelChannels: 320, contextSize: 768 }`. */
  readonly config: Readonly<Record<string, number | boolean | string | readonly number[]>>;
}

/** The noise levels that a UNet was trained on. */
export interface NativeNoise {
  /**
   * What they come from: a schedule of betas in diffusers' words (`scaled_linear`, which those of Stable Diffusion are, `linear`,
   * `squaredcos_cap_v2`, `trained_betas`), or the name of the tensor that holds them.
   */
  readonly schedule: string;
  /** Number of levels: the steps of training, 1000 for all published models of Stable Diffusion. */
  readonly steps: number;
  /** Whether they are rescaled so that the last is noise alone (Lin et al. 2023, arXiv:2305.08891). */
  readonly zeroTerminalSnr: boolean;
  /**
   * How the scheduler's configuration would choose among them: `leading`, `trailing`, `linspace`, or by `karras`, `exponential` or
   * `beta` sigmas; undefined where it doesn't say.
   */
  readonly spacing: 'leading' | 'trailing' | 'linspace' | 'karras' | 'exponential' | 'beta' | undefined;
}

/** What the headers of a model's files say; no weight is read. */
export interface NativeInspection {
  readonly files: readonly {
    readonly path: string;
    readonly format: 'safetensors' | 'gguf' | 'pytorch';
    readonly bytes: number;
    readonly tensors: number;
  }[];
  /**
   * What the tensors are for; a part of a model is one. Undefined where their names say nothing. What only goes with a model has no
   * components, and no lists of names below.
   */
  readonly kind: 'model' | 'lora' | 'embedding' | 'controlnet' | 'taesd' | 'upscaler' | 'depth' | undefined;
  /**
   * `sd1`, `sd2`, `sdxl` or `sdxl-refiner`, with `-inpaint`, `-depth` or `-edit` behind it where the UNet takes 9, 5 or 8 channels;
   * `sd3` and `flux`, which are known but not run; undefined where no known family matches.
   */
  readonly family: string | undefined;
  /** `ldm` for the original tensor names, `diffusers` for those of diffusers. */
  readonly layout: string | undefined;
  readonly components: readonly NativeComponent[];
  /** As {@link LoadedModelInfo.prediction} and {@link LoadedModelInfo.noise}; undefined without a UNet, and for other kinds of noise. */
  readonly prediction: 'epsilon' | 'v' | undefined;
  readonly noise: NativeNoise | undefined;
  /** Networks that a whole model has and that the files do not; none where nothing in them is of a model. */
  readonly absent: readonly ('unet' | 'text_encoder' | 'text_encoder_2' | 'vae')[];
  /** Tensors that the networks in the files need, but absent. */
  readonly missing: readonly string[];
  /** Present, but of another shape or type than the network asks for: `name: reason`. */
  readonly mismatched: readonly string[];
  /** Present, but of no use to any component. */
  readonly unused: readonly string[];
  /**
   * Free-form metadata of the first file (safetensors `__metadata__`, GGUF key-value pairs, numbers and texts beside the
   * tensors of a PyTorch checkpoint), values as strings.
   */
  readonly metadata: Readonly<Record<string, string>>;
}
