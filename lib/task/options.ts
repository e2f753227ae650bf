// The options of the tasks as callers see them. The interfaces come from the rows: `npm run docs` writes them.

import type { ControlOptions } from '../control/options.ts';
import type { DepthMap } from '../depth/depth-map.ts';
import type { EmbeddingOption } from '../embedding/options.ts';
import type { ImageInput } from '../image/input.ts';
import type { ResizeMode, Size } from '../image/resize.ts';
import type { LoraOption, LoraTags } from '../lora/options.ts';
import type { TileProgress } from '../native/networks.ts';
import type { RngName } from '../rng/index.ts';
import type { Sampler, SamplerName } from '../sampler/index.ts';
import type { SchedulerName } from '../schedule/index.ts';
import type { Upscaler } from '../upscaler/upscaler.ts';
import type { HiresUpscaler } from './hires-upscalers.ts';
import type { Convention, MaskedContent } from './image-rows.ts';
import type { OtherName } from './method.ts';
import type { GenerationStep } from './result.ts';
import type { PreviewKind } from './run-rows.ts';
import type { Corner } from './sdxl-rows.ts';

// Generated from here on.

/** Options of every call that generates images. */
export interface GenerationOptions {
  /**
   * What to generate. `(word:1.3)`, `((word))` and `[word]` weigh words as in AUTOMATIC1111's web UI, `\(`
   * escapes, `BREAK` starts a new chunk of 75 tokens, and so does running over one. At most 65,536 characters and 64
   * chunks; may be empty. `[from:to:when]` is `from` at first and `to` after a share of the steps (`0.5`) or
   * after a number of them (`5`), `[to:when]` and `[from::when]` have nothing before or after; `[a|b]` takes
   * turns step by step. Steps are counted as in the web UI: those that are taken, from 0, so that the first text holds
   * for one more; samplers that evaluate twice a step count twice; shares are of `steps`, whatever `strength` is.
   * `AND` composes nothing, as it does in the web UI, and is a word like others; a warning says so.
   * `<lora:name:0.8>` stands for an entry of `loras`, wherever it is, and is no part of the text; without a number
   * the weight is 1. `<lora:name:te=0.5:unet=0.8>`, or in that order `<lora:name:0.5:0.8>`, has one for the text
   * encoders and one for the UNet; `<lyco:...>` is the same, `<hypernet:...>` an error. A name is that of a file
   * in `loraDirectory`, with or without its extension. A language model (Z-Image) reads brackets of weights as they
   * are, and at most 512 tokens.
   */
  prompt: string;
  /** What to avoid, written like `prompt`. Default `''`. Has no effect at a `cfgScale` of 1. */
  negativePrompt?: string | undefined;
  /**
   * Layer of the text encoder whose output is used: 1 is the last, 2 the one before, up to the number of layers.
   * Default: the one that the model was trained with, 1 for SD 1.x and 2 for SD 2.x and XL (1 for SD 2.x saved by
   * diffusers, which leaves the last layer out). Not for Z-Image, whose text encoder is a language model.
   */
  clipSkip?: number | undefined;
  /**
   * LoRAs to apply, in addition to those that the prompt names; at most 64. Default none. The model's file stays as it
   * is, and calls with the same LoRAs share the work of applying them.
   */
  loras?: readonly LoraOption[] | undefined;
  /**
   * Folder of the LoRAs that are given by name, those in subfolders as `folder/name`. Default: none; a prompt can
   * then name none.
   */
  loraDirectory?: string | undefined;
  /**
   * What the prompt may name: `names` (default) of files that lie in `loraDirectory` after links are followed, and
   * errors then say nothing of what a file holds; or any `paths` too, for prompts of someone who may read every file
   * of this process. The same holds for links in `embeddingDirectory` that lead out of it.
   */
  loraTags?: LoraTags | undefined;
  /**
   * Whether a LoRA with tensors that are not applied is an error (`ERR_MODEL_MISMATCH`) rather than a warning. Default false.
   */
  strictLoras?: boolean | undefined;
  /**
   * Embeddings of textual inversion, each with the word that stands for it in both prompts; at most 256. Default none.
   * A word is found in any case where no letter or digit touches it, and takes the weight that it has in the prompt.
   * The words that a file holds stand for their vectors too; a file of several words can be used by these alone.
   */
  embeddings?: readonly EmbeddingOption[] | undefined;
  /**
   * Folder of embeddings: the name of each file, without its extension, is such a word, and so are the words that
   * diffusers saves in it. Default none.
   */
  embeddingDirectory?: string | undefined;
  /** Control images and their ControlNets, at most 8 together. Default none. */
  controls?: readonly ControlOptions[] | undefined;
  /**
   * Most pixels that an image which is given may have, 1 to 2^26. Default 2^25 (8K): a small file may claim to be a
   * huge image, and reading one takes up to 12 bytes a pixel.
   */
  maxPixels?: number | undefined;
  /**
   * Width in pixels: a multiple of `info.sideMultiple` (8, 16 for Z-Image), at most 16,384, and 2^26 pixels in all images of the
   * batch. Default: the size that the model's file names, otherwise that of its family. Of a task that starts from an image: the
   * image's own, rounded down to a multiple of that factor; where one side is given, the other follows the image's
   * proportions.
   */
  width?: number | undefined;
  /** Height in pixels; otherwise as `width`. */
  height?: number | undefined;
  /** Sampling steps, 1 to 1000. Default 20, 8 for Z-Image. Custom sigmas bring their own number. */
  steps?: number | undefined;
  /**
   * Seed of the noise, 0 to 2^64 - 1, above 2^53 - 1 a bigint; image i of a batch uses `seed + i`. -1 (default)
   * draws one below 2^32.
   */
  seed?: number | bigint | undefined;
  /**
   * Name of a sampler, or a function. Default `euler_a`, `euler` for models of flow matching. The names of AUTOMATIC1111's web UI, ComfyUI, diffusers,
   * InvokeAI and stable-diffusion.cpp are understood where they mean the same method, in any case and with spaces,
   * `_` or `-`: `Euler a`, `dpmpp_2m`, `EulerDiscreteScheduler`. One that says the schedule too, `DPM++ 2M
   * Karras`, allows no other `scheduler`.
   */
  sampler?: SamplerName | OtherName | Sampler | undefined;
  /**
   * Name of a schedule, or the noise levels themselves: falling, the last 0. Default: the sampler's own, or the
   * model's (`info.defaultScheduler`, mostly `discrete`). The names of those programs are understood likewise;
   * `Automatic` is what the web UI takes with the sampler, `karras` with `dpm++2m`.
   */
  scheduler?: SchedulerName | OtherName | ArrayLike<number> | undefined;
  /** Share of noise that a stochastic sampler puts back after each step, 0 to 1. Default: that of its method. */
  eta?: number | undefined;
  /** Which generator of torch the noise reproduces: that of a GPU (`cuda`, default) or of the CPU (`cpu`). */
  rng?: RngName | undefined;
  /**
   * Whether the image tiles seamlessly: along both sides (true), side by side (`x`) or one above the other
   * (`y`). Convolutions then see the other side where the image ends. Default false. Only models with a UNet.
   */
  tileable?: boolean | 'x' | 'y' | undefined;
  /** Images generated together in one batch, 1 to 64. Default 1. */
  batchSize?: number | undefined;
  /**
   * Guidance scale (Ho and Salimans 2022): 1 is no guidance and costs one network pass a step instead of two, more
   * follows the prompt more closely. Finite, at least 0. Default 7, 1 for Z-Image.
   */
  cfgScale?: number | undefined;
  /**
   * How much of the contrast that guidance adds is removed, 0 (default, nothing) to 1: the guided prediction is
   * brought towards the standard deviation of that for the prompt alone (Lin et al. 2023; `guidance_rescale` of
   * diffusers). 0.7 is what its authors use for v-prediction.
   */
  cfgRescale?: number | undefined;
  /**
   * Scale of perturbed-attention guidance (Ahn et al. 2024): away from what the UNet predicts when each pixel of its
   * middle block attends to itself alone. Costs one more pass a step. Finite, at least 0; default 0, none; 3 is a
   * usual value.
   */
  pagScale?: number | undefined;
  /**
   * The part of the steps that are guided, as shares of those that are taken: from `floor(start x steps)` up to
   * before `floor(end x steps)`. Outside of it the prompt alone counts, without `cfgScale`, `cfgRescale` and
   * `pagScale`, and a step costs one pass (Kynkäänniemi et al. 2024). Default `[0, 1]`.
   */
  guidanceInterval?: readonly [start: number, end: number] | undefined;
  /**
   * SDXL: size in pixels of the image that the result is to look cropped from; small ones look blurred. Default: the
   * size that is generated. Each side 0 to 2^20. This and the four below are errors with models that are not
   * conditioned on it.
   */
  originalSize?: Size | undefined;
  /** SDXL: where the crop's upper left corner lies in that image, in pixels. Default `{ top: 0, left: 0 }`. */
  cropTopLeft?: Corner | undefined;
  /** SDXL base: size of the crop that the result is to look like. Default: the size that is generated. */
  targetSize?: Size | undefined;
  /** SDXL refiner: how beautiful the result is to be on a scale from 0 to 10. Default 6. */
  aestheticScore?: number | undefined;
  /** The same for the negative prompt. Default 2.5. */
  negativeAestheticScore?: number | undefined;
  /** Cancels the run, at any moment: it rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
  /** Called after each step and awaited. What it throws ends the run. */
  onStep?: ((step: GenerationStep) => void | Promise<void>) | undefined;
  /** Called while the VAE works in tiles, after a tile, at most every 20 ms. What it throws ends the run. */
  onTile?: ((progress: TileProgress) => void) | undefined;
  /**
   * Whether the VAE works in tiles, in a fraction of the memory. There are no seams, because tiles see their neighbors
   * and share the statistics of the whole image; pixels differ by rounding. `auto` (default): if one piece would take
   * more than 4 GiB, or more than the budget that the model was loaded with (`memory`). A tiny autoencoder has no
   * tiles.
   */
  vaeTiling?: boolean | 'auto' | undefined;
  /**
   * Side of such a tile in latent cells of 8 pixels, 8 to 512, rounded up to a multiple of 8. Default 32. Large tiles
   * take more memory; where there would be more than 256 tiles, they are larger.
   */
  vaeTileSize?: number | undefined;
  /**
   * Whether steps carry a preview image: `proj` (or true) a small one by a linear projection, which costs nothing;
   * `tae` one of the whole size by the tiny autoencoder that the model was loaded with ({@link ModelSource}),
   * `vae` one by that which decodes the result. Default false.
   */
  preview?: boolean | PreviewKind | undefined;
  /**
   * Whether previews show the latent with the noise that it has after the step, scaled to unit variance, instead of
   * what the network takes the image to be. Default false.
   */
  previewNoisy?: boolean | undefined;
}

/** Options of {@link Model.txt2img}. */
export interface Txt2ImgOptions extends GenerationOptions {
  /**
   * A second pass over the image, enlarged: the first settles what is where at the size that the model was trained
   * for, the second adds the detail of the large image. True for the defaults. Default false.
   */
  hires?: boolean | HiresOptions | undefined;
}

/** Options of every call that starts from an image. */
export interface ImageOptions extends GenerationOptions {
  /** The image to start from. What is transparent in it shows white. */
  image: ImageInput;
  /**
   * What becomes of an image of another size. `fill` (default) keeps its proportions and cuts off what goes over;
   * `fit` keeps all of it and repeats its border around it; `stretch` changes its proportions; `none` refuses
   * it. Images are scaled with Lanczos's filter.
   */
  resizeMode?: ResizeMode | undefined;
}

/** Options of {@link Model.img2img}. */
export interface Img2ImgOptions extends ImageOptions {
  /**
   * How much is regenerated, 0 to 1: the share of the steps that is taken, from the noise level at which they begin. 0
   * takes none and gives the image as the VAE renders it; at 1 all steps are taken, and as the first noise level is
   * high but finite, a trace of the image is left. Default 0.75. With a mask it is of what that covers, and the rest
   * is still the image's at 1.
   */
  strength?: number | undefined;
  /**
   * Whose rules hold where an image is the start, so that a seed gives the image that it gives there. `webui`
   * (default): AUTOMATIC1111's web UI and stable-diffusion.cpp. The noise is the seed's first draw, as for text alone,
   * and the last `floor(steps x strength) + 1` steps are taken, at most all. What a mask leaves is kept after each
   * evaluation. `diffusers`: the VAE's sample of the image is the first draw and the noise the next; the last
   * `floor(steps x strength)` steps are taken, and at least one. Inpainting also keeps the rest before each
   * evaluation, but not with models made for it, and starts from pure noise at a strength of 1.
   */
  convention?: Convention | undefined;
}

/** Options of {@link Model.inpaint}. */
export interface InpaintOptions extends Img2ImgOptions {
  /**
   * What to regenerate: white is regenerated, black stays, gray is blended. Colors count by their luma, what is
   * transparent counts as black. A mask of another size is stretched to that of the image.
   */
  mask: ImageInput;
  /**
   * Softness of the mask's edge: standard deviation of a Gaussian blur in pixels of `image`, 0 to 64. Default 0,
   * which leaves every pixel outside the mask as it is.
   */
  maskBlur?: number | undefined;
  /** Whether black is regenerated and white stays. Default false. */
  invertMask?: boolean | undefined;
  /**
   * What the masked part holds before noise is added: the image itself (`original`, default), the colours around it
   * (`fill`), noise (`noise`) or zeros (`nothing`) in the latent. By diffusers' convention it has no effect at a
   * strength of 1.
   */
  maskedContent?: MaskedContent | undefined;
  /**
   * Generates the masked region alone, at `width` x `height` (default: the model's), and puts it back into the
   * image, which keeps its own size; `resizeMode` has no effect. The number is how many pixels of `image` around
   * the mask are included, 0 to 4096. Default: the whole image is generated.
   */
  paddingMaskCrop?: number | undefined;
}

/** Options of {@link Model.edit}. The prompt is an instruction: `make it winter`. */
export interface EditOptions extends ImageOptions {
  /**
   * Guidance scale of the image (Brooks et al. 2022, eq. 3), in addition to `cfgScale` for the instruction: 1 is no
   * guidance, more stays closer to the image. Finite, at least 0. Default 1.5. Where neither scale is 1 a step costs
   * three network passes.
   */
  imageCfgScale?: number | undefined;
}

/** Options of {@link Model.depth2img}. */
export interface Depth2ImgOptions extends Img2ImgOptions {
  /**
   * How near everything in `image` is: a {@link DepthMap}, or an image in which white is near and black is far. One
   * of another size is stretched to that of `image`. Default: it is estimated by the network that the model
   * includes, or by `depthModel` of its source.
   */
  depth?: ImageInput | DepthMap | undefined;
}

/** Options of {@link Txt2ImgOptions.hires}. */
export interface HiresOptions {
  /** How much larger, 1 to 8; sides are rounded to multiples of the VAE factor. Default 2. */
  scale?: number | undefined;
  /** The width in pixels, with `height` instead of a scale. */
  width?: number | undefined;
  /** The height in pixels. */
  height?: number | undefined;
  /** Steps of the second pass, 1 to 1000. Default: those of the first. */
  steps?: number | undefined;
  /**
   * How much of the second pass's noise is put on the enlarged image, 0.01 to 1: its steps are the last ones of a
   * schedule of `steps / denoisingStrength`. Default 0.7.
   */
  denoisingStrength?: number | undefined;
  /**
   * What enlarges: the latent by linear interpolation (`latent`, default), by the nearest cell or by cubic
   * interpolation; the decoded image by Lanczos's filter (`lanczos`); or the decoded image by an upscaler, open or
   * as the path of its file. The web UI's words, `Latent (nearest)`, are understood.
   */
  upscaler?: HiresUpscaler | string | Upscaler | undefined;
}
