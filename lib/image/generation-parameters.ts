// What an image says of how it was made. The last interface comes from the rows of options: `npm run docs` writes it.

/** Everything that makes an image, besides other images: the same values give the same image again. */
export interface GenerationParameters extends OptionParameters {
  readonly prompt: string;
  readonly negativePrompt: string;
  /** Name of the sampler. */
  readonly sampler: string;
  /** Name of the schedule; undefined where `sigmas` were given. */
  readonly scheduler?: string | undefined;
  /** The user's own noise levels. */
  readonly sigmas?: readonly number[] | undefined;
  /** Above 2^53 - 1 a bigint. */
  readonly seed: number | bigint;
  readonly width: number;
  readonly height: number;
  /** Name of the model's file, without folder and extension. */
  readonly model: string;
  /** SDXL refiner: the score and that of the negative prompt, `6, 2.5`; undefined where they are the default. */
  readonly aestheticScores?: string | undefined;
  /** Whether the image is tileable: in both directions (true), horizontally or vertically. */
  readonly tileable?: boolean | 'x' | 'y' | undefined;
  /** LoRAs: how many of their tensors were applied, of how many. */
  readonly loras?:
    | readonly { path: string; weight: number; textEncoderWeight?: number; applied: number; tensors: number }[]
    | undefined;
  /** Embeddings that the prompts name, by the words that stand for them. */
  readonly embeddings?: readonly { token: string; path: string }[] | undefined;
  /** ControlNets. */
  readonly controls?: readonly ControlParameters[] | undefined;
  /** Of images that started from an image. */
  readonly strength?: number | undefined;
  /** Of images that were generated in two passes: the size of the second. */
  readonly hires?: { readonly size: string; readonly steps: number; readonly upscaler: string } | undefined;
  /** Number of steps that were taken, of a run that was finished early. */
  readonly finishedAfter?: number | undefined;
  /** Name and version of the program. */
  readonly version: string;
}

/** What made an image besides the image that a ControlNet followed. */
export interface ControlParameters {
  /** Path of the ControlNet. */
  readonly model: string;
  readonly preprocessor: string;
  readonly strength: number;
  readonly start: number;
  readonly end: number;
}

// Generated from here on.

/** Options among the parameters. Those that may be undefined are so for the default. Sizes are as `1024x768`, a corner as `top, left`. */
export interface OptionParameters {
  readonly clipSkip: number;
  readonly convention?: string | undefined;
  readonly imageCfgScale?: number | undefined;
  readonly maskBlur?: number | undefined;
  readonly maskedContent?: string | undefined;
  readonly paddingMaskCrop?: number | undefined;
  readonly steps: number;
  readonly eta?: number | undefined;
  readonly rng: string;
  readonly cfgScale: number;
  readonly cfgRescale?: number | undefined;
  readonly pagScale?: number | undefined;
  readonly guidanceInterval?: readonly [start: number, end: number] | undefined;
  readonly originalSize?: string | undefined;
  readonly cropTopLeft?: string | undefined;
  readonly targetSize?: string | undefined;
}
