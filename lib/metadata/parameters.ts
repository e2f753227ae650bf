// Generation parameters as text, in the form that AUTOMATIC1111's web UI writes into images and that other tools read.

import type { ControlParameters, GenerationParameters } from '../image/generation-parameters.ts';
import { toMetadataName } from '../sampler/names.ts';
import { parameterTexts } from '../task/parameters.ts';
import { NEGATIVE, readPrompts } from './infotext.ts';

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
    ...parameterTexts(p),
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
