// Generation parameters as text, in the form that AUTOMATIC1111's web UI writes into images and that other tools read.

import type { ControlParameters, GenerationParameters } from '../image/generation-parameters.ts';
import { fieldsOf } from '../task/parameters.ts';
import { NEGATIVE, readPrompts } from './infotext.ts';

/**
 * Writes parameters: the prompt, a line `Negative prompt: ...` if there is one, and a line of `key: value` pairs.
 * Prompts that this cannot hold, because readers strip every line and look for that word, stand among the pairs as
 * well, where the web UI finds them too.
 */
export function formatParameters(p: GenerationParameters): string {
  const prompts = p.negativePrompt ? `${p.prompt}\n${NEGATIVE} ${p.negativePrompt}` : p.prompt;
  const read = readPrompts(prompts.split('\n'));
  const settings = settingsOf(p).filter(([, value]) => value !== undefined);
  const pairs = settings.map(([key, value]) => `${key}: ${quote(value as string)}`);
  for (const [key, text, same] of [
    ['Prompt', p.prompt, read.prompt === p.prompt],
    ['Negative prompt', p.negativePrompt, read.negativePrompt === p.negativePrompt],
  ] as const) {
    if (!same) pairs.push(`${key}: ${JSON.stringify(text)}`);
  }
  return `${prompts}\n${pairs.join(', ')}`.trim();
}

/** The keys that come first, in the order of A1111. The others follow in the order of the options. */
const FIRST = [
  ...['Steps', 'Sampler', 'Schedule type', 'Sigmas', 'CFG scale', 'Image CFG scale', 'Seed', 'Size', 'Model'],
  ...['Clip skip', 'Loras'],
];
/** Those that come last. */
const LAST = ['RNG', 'Version'];

function settingsOf(p: GenerationParameters): [key: string, value: string | undefined][] {
  const options = new Map(fieldsOf(p));
  const all = new Map([
    ...options,
    ['Model', p.model],
    ['Finished after', p.finishedAfter?.toString()],
    ['Loras', p.loras?.map(describeLora).join(', ')],
    ['Version', p.version],
  ]);
  const inOrder = (keys: readonly string[]) => keys.map((key): [string, string | undefined] => [key, all.get(key)]);
  return [
    ...inOrder(FIRST),
    ...(p.controls ?? []).map((control, i): [string, string] => [`ControlNet ${i}`, describeControl(control)]),
    ...[...options].filter(([key]) => !FIRST.includes(key) && !LAST.includes(key)),
    ...inOrder(['Finished after']),
    ['Embeddings', p.embeddings?.map(({ token, path }) => `${token} (${fileName(path)})`).join('; ')],
    ...inOrder(LAST),
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
 * A value that would not be read back as it stands is written as a JSON string: readers end a value at a comma, strip
 * it, and take one in quotes for JSON.
 */
function quote(value: string): string {
  return /^$|[,:"\p{Cc}]|^\s|\s$/u.test(value) ? JSON.stringify(value) : value;
}
