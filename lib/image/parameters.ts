// Generation parameters as text, in the form that AUTOMATIC1111's web UI writes into pictures and that other tools read.

import { fromMetadataNames, fromMetadataRng, toMetadataName } from './names.ts';

/** Keyword of the PNG text entry that holds the parameters. */
export const PARAMETERS_KEYWORD = 'parameters';

/** Everything that makes a picture, besides other pictures: the same values give the same picture again. */
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
  /** Of edited pictures. */
  readonly imageCfgScale?: number | undefined;
  readonly seed: number;
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
  /** LoRAs: how many of their tensors were applied, of how many. */
  readonly loras?: readonly { path: string; weight: number; applied: number; tensors: number }[] | undefined;
  /** Embeddings that the prompts name, by the words that stand for them. */
  readonly embeddings?: readonly { token: string; path: string }[] | undefined;
  /** ControlNets. */
  readonly controls?: readonly ControlParameters[] | undefined;
  /** Of pictures that started from a picture. */
  readonly strength?: number | undefined;
  /** Of pictures that were drawn in two passes: the size of the second. */
  readonly hires?: { readonly size: string; readonly steps: number; readonly upscaler: string } | undefined;
  /** Of inpainted pictures. */
  readonly maskBlur?: number | undefined;
  readonly maskedContent?: string | undefined;
  readonly paddingMaskCrop?: number | undefined;
  /** Name and version of the program. */
  readonly version: string;
}

/** What made a picture besides the picture that a ControlNet followed. */
export interface ControlParameters {
  /** Path of the ControlNet. */
  readonly model: string;
  readonly preprocessor: string;
  readonly strength: number;
  readonly start: number;
  readonly end: number;
}

/** What a picture says about how it was made. Fields that it does not state are undefined. */
export interface ImageMetadata {
  /** The whole text as it stands in the file. */
  readonly raw: string;
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly steps: number | undefined;
  /** In this package's names where it has the method, otherwise as written. */
  readonly sampler: string | undefined;
  readonly scheduler: string | undefined;
  readonly cfgScale: number | undefined;
  readonly seed: number | undefined;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly model: string | undefined;
  readonly clipSkip: number | undefined;
  readonly rng: string | undefined;
  readonly strength: number | undefined;
  /** Every `key: value` of the last line, as written. */
  readonly fields: Readonly<Record<string, string>>;
}

const NEGATIVE = 'Negative prompt:';
/** A last line with fewer fields is prose. */
const LEAST_FIELDS = 3;
const KEY = /^\w[\w \-/]+$/;

/** Writes parameters: the prompt, a line `Negative prompt: ...` if there is one, and a line of `key: value` pairs. */
export function formatParameters(p: GenerationParameters): string {
  const fields: [string, string | number | undefined][] = [
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
    ['RNG', toMetadataName.rng(p.rng)],
    ['Version', p.version],
  ];
  const settings = fields
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${quote(String(value))}`);
  const negative = p.negativePrompt ? `\n${NEGATIVE} ${p.negativePrompt}` : '';
  return `${p.prompt}${negative}\n${settings.join(', ')}`.trim();
}

/** In the words of the ControlNet extension of A1111's web UI. */
function describeControl({ model, preprocessor, strength, start, end }: ControlParameters): string {
  const fields = { Module: preprocessor, Model: fileName(model), Weight: strength };
  const all = { ...fields, 'Guidance Start': start, 'Guidance End': end };
  return Object.entries(all)
    .map(([key, value]) => `${key}: ${value}`)
    .join(', ');
}

function describeLora({ path, weight, applied, tensors }: NonNullable<GenerationParameters['loras']>[number]): string {
  return `${fileName(path)}: ${weight} (${applied} of ${tensors} tensors)`;
}

function fileName(path: string): string {
  return path.split(/[/\\]/).at(-1) as string;
}

/** Reads parameters back; a text of any other form counts as a prompt. */
export function parseParameters(raw: string): ImageMetadata {
  const lines = raw.split('\n');
  const last = parseFields(lines.at(-1) as string);
  const hasFields = Object.keys(last).length >= LEAST_FIELDS;
  const fields = hasFields ? last : {};
  const prompts = hasFields ? lines.slice(0, -1) : lines;
  const split = prompts.findIndex((line) => line.startsWith(NEGATIVE));
  const positive = split < 0 ? prompts : prompts.slice(0, split);
  const negative = split < 0 ? [] : prompts.slice(split);
  const size = /^(\d+)x(\d+)$/.exec(fields.Size ?? '');
  const names = fromMetadataNames(fields.Sampler, fields['Schedule type']);
  return {
    raw,
    prompt: positive.join('\n').trim(),
    negativePrompt: negative.join('\n').slice(NEGATIVE.length).trim(),
    steps: toNumber(fields.Steps),
    sampler: names.sampler,
    scheduler: names.scheduler,
    cfgScale: toNumber(fields['CFG scale']),
    seed: toNumber(fields.Seed),
    width: toNumber(size?.[1]),
    height: toNumber(size?.[2]),
    model: fields.Model,
    clipSkip: toNumber(fields['Clip skip']),
    rng: fromMetadataRng(fields.RNG),
    strength: toNumber(fields['Denoising strength']),
    fields,
  };
}

/** A value that would end its field early is written as a JSON string, as A1111 does. */
function quote(value: string): string {
  return /[,:\n]/.test(value) ? JSON.stringify(value) : value;
}

function unquote(value: string): string {
  if (!value.startsWith('"')) return value;
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}

/** The `key: value` pairs of a line; the first of each key counts, what is no pair is passed over. */
function parseFields(line: string): Record<string, string> {
  const fields: Record<string, string> = Object.create(null);
  for (const part of splitAtCommas(line)) {
    const colon = part.indexOf(':');
    const key = part.slice(0, Math.max(colon, 0)).trim();
    if (KEY.test(key)) fields[key] ??= unquote(part.slice(colon + 1).trim());
  }
  return { ...fields };
}

/** Splits at the commas that stand outside quotes. One pass, so that a hostile text costs no more than its length. */
function splitAtCommas(line: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let i = 0; i < line.length; i++) {
    if (quoted && line[i] === '\\') i++;
    else if (line[i] === '"') quoted = !quoted;
    else if (line[i] === ',' && !quoted) {
      parts.push(line.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(line.slice(start));
  return parts;
}

function toNumber(text: string | undefined): number | undefined {
  const value = text ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
}
