// Generation parameters as text, in the form that AUTOMATIC1111's web UI writes into images and that other tools read.

import { toMetadataName } from '../sampler/names.ts';
import { NEGATIVE, readPrompts } from './infotext.ts';

/** Keyword of the PNG text entry that holds the parameters. */
export const PARAMETERS_KEYWORD = 'parameters';

/** Everything that makes an image, besides other images: the same values give the same image again. */
export interface GenerationParameters {
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly steps: number;
  /** Name of the sampler. */
  readonly sampler: string;
  /** Name of the schedule; undefined where `sigmas` were given. */
  readonly scheduler?: string | undefined;
  /** The user's own noise levels. */
  readonly sigmas?: readonly number[] | undefined;
  readonly cfgScale: number;
  /** Of edited images. */
  readonly imageCfgScale?: number | undefined;
  /** Above 2^53 - 1 a bigint. */
  readonly seed: number | bigint;
  readonly width: number;
  readonly height: number;
  /** Name of the model's file, without folder and extension. */
  readonly model: string;
  readonly clipSkip: number;
  readonly rng: string;
  readonly eta?: number | undefined;
  /** Guidance beyond the scale; undefined where there is none. */
  readonly cfgRescale?: number | undefined;
  readonly pagScale?: number | undefined;
  readonly guidanceInterval?: readonly number[] | undefined;
  /** What SDXL was told beside the prompt: sizes as `1024x768`, a corner as `top, left`; undefined where that is the default. */
  readonly originalSize?: string | undefined;
  readonly cropTopLeft?: string | undefined;
  readonly targetSize?: string | undefined;
  readonly aestheticScores?: string | undefined;
  /** Whether the image can be laid beside itself: along both sides (true), side by side or one above the other. */
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
  /** Of images that started from one by other rules than the usual. */
  readonly convention?: string | undefined;
  /** Of images that were drawn in two passes: the size of the second. */
  readonly hires?: { readonly size: string; readonly steps: number; readonly upscaler: string } | undefined;
  /** Of inpainted images. */
  readonly maskBlur?: number | undefined;
  readonly maskedContent?: string | undefined;
  readonly paddingMaskCrop?: number | undefined;
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

/** Random generators as the web UI names them: `NV` computes on the CPU what a GPU gives. */
const RNG_LABELS: Readonly<Record<string, string>> = { cuda: 'NV', cpu: 'CPU' };

/**
 * Writes parameters: the prompt, a line `Negative prompt: ...` if there is one, and a line of `key: value` pairs. Prompts that this
 * cannot hold, because readers strip every line and look for that word, stand among the pairs as well, where the web UI finds them too.
 */
export function formatParameters(p: GenerationParameters): string {
  const prompts = p.negativePrompt ? `${p.prompt}\n${NEGATIVE} ${p.negativePrompt}` : p.prompt;
  const read = readPrompts(prompts.split('\n'));
  const settings = settingsOf(p).filter(([, value]) => value !== undefined);
  const pairs = settings.map(([key, value]) => `${key}: ${quote(String(value))}`);
  for (const [key, text, same] of [
    ['Prompt', p.prompt, read.prompt === p.prompt],
    ['Negative prompt', p.negativePrompt, read.negativePrompt === p.negativePrompt],
  ] as const) {
    if (!same) pairs.push(`${key}: ${JSON.stringify(text)}`);
  }
  return `${prompts}\n${pairs.join(', ')}`.trim();
}

function settingsOf(p: GenerationParameters): [key: string, value: string | number | bigint | undefined][] {
  return [
    ['Steps', p.steps],
    ['Sampler', toMetadataName.sampler(p.sampler)],
    ['Schedule type', p.scheduler && toMetadataName.scheduler(p.scheduler)],
    ['Sigmas', p.sigmas?.join(', ')],
    ['CFG scale', p.cfgScale],
    ['Image CFG scale', p.imageCfgScale],
    ['Seed', p.seed],
    ['Size', `${p.width}x${p.height}`],
    ['Model', p.model],
    // A1111 writes the clip skip only where it is not the last layer, and so do its readers expect it.
    ['Clip skip', p.clipSkip === 1 ? undefined : p.clipSkip],
    ['Loras', p.loras?.map(describeLora).join(', ')],
    ...(p.controls ?? []).map((control, i): [string, string] => [`ControlNet ${i}`, describeControl(control)]),
    ['Denoising strength', p.strength],
    ['Convention', p.convention],
    ['Hires resize', p.hires?.size],
    ['Hires steps', p.hires?.steps],
    ['Hires upscaler', p.hires?.upscaler],
    ['Mask blur', p.maskBlur || undefined],
    ['Masked content', p.maskedContent],
    ['Inpaint area', p.paddingMaskCrop === undefined ? undefined : 'Only masked'],
    ['Masked area padding', p.paddingMaskCrop],
    ['Embeddings', p.embeddings?.map(({ token, path }) => `${token} (${fileName(path)})`).join('; ')],
    ['Eta', p.eta],
    ['CFG Rescale', p.cfgRescale],
    ['PAG scale', p.pagScale],
    ['Guidance interval', p.guidanceInterval?.join(', ')],
    ['Original size', p.originalSize],
    ['Crop top left', p.cropTopLeft],
    ['Target size', p.targetSize],
    ['Aesthetic scores', p.aestheticScores],
    ['Tiling', p.tileable === true ? 'True' : undefined],
    ['Tile X', p.tileable === 'x' ? 'True' : undefined],
    ['Tile Y', p.tileable === 'y' ? 'True' : undefined],
    ['RNG', RNG_LABELS[p.rng] ?? p.rng],
    ['Version', p.version],
  ];
}

/** In the words of the ControlNet extension of A1111's web UI. */
function describeControl({ model, preprocessor, strength, start, end }: ControlParameters): string {
  const fields = { Module: preprocessor, Model: fileName(model), Weight: strength };
  const all = { ...fields, 'Guidance Start': start, 'Guidance End': end };
  return Object.entries(all)
    .map(([key, value]) => `${key}: ${value}`)
    .join(', ');
}

function describeLora(lora: NonNullable<GenerationParameters['loras']>[number]): string {
  const { path, weight, textEncoderWeight, applied, tensors } = lora;
  const text = textEncoderWeight === undefined ? '' : ` te=${textEncoderWeight}`;
  return `${fileName(path)}: ${weight}${text} (${applied} of ${tensors} tensors)`;
}

function fileName(path: string): string {
  return path.split(/[/\\]/).at(-1) as string;
}

/**
 * A value that would not be read back as it stands is written as a JSON string: readers end a value at a comma, strip it, and take one
 * in quotes for JSON.
 */
function quote(value: string): string {
  return /^$|[,:"\p{Cc}]|^\s|\s$/u.test(value) ? JSON.stringify(value) : value;
}
