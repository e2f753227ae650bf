// Generation parameters as AUTOMATIC1111's web UI writes them, with all that follow it: a prompt, a line `Negative
// prompt: ...`, and a last line of `key: value` pairs.

import { statedIn } from '../task/parameters.ts';
import type { Statement } from './statement.ts';

/** What the line of the negative prompt begins with. */
export const NEGATIVE = 'Negative prompt:';
/** A last line with fewer pairs is prose. */
const LEAST_FIELDS = 3;
/** Parts of that line between commas which are looked at. Programs write some dozens. */
const MOST_PARTS = 4096;
const KEY = /^\s*(\w[\w \-/]+):\s*/;

/** Fields that change the image and that nothing here follows. */
const NOT_FOLLOWED = new RegExp(
  `^(${[
    ...['Variation seed( strength)?', 'Seed resize from', 'ENSD', 'Sampler RNG'],
    ...['Eta DDIM', 'Sigma \\w+', 'Schedule (rho|(min|max) sigma)', 'Noise Schedule', 'Extra sample args'],
    ...['Refiner( switch at)?', 'Hypernet( strength)?', 'Face restoration', 'ControlNet.*', 'ADetailer model'],
    ...['NGMS', 'Token merging ratio( hr)?', 'FreeU.*', 'Dynamic thresholding enabled', 'SLG scale'],
    'Hires (sampler|schedule type|checkpoint|CFG Scale|prompt|negative prompt)',
    ...['Conditional mask weight', 'Emphasis', 'ADM Guidance', 'Sharpness'],
  ].join('|')})$`,
);

/**
 * Reads the text; one of any other form counts as a prompt. As in the web UI, white space around it and around every
 * line is nothing.
 */
export function readInfotext(raw: string): Statement {
  const lines = raw.trim().split('\n');
  const last = lines.at(-1) as string;
  const pairs = readPairs(last);
  const hasFields = pairs.length >= LEAST_FIELDS;
  const fields = hasFields ? firstOfEach(pairs) : {};
  const { prompt, negativePrompt } = readPrompts(hasFields ? lines.slice(0, -1) : lines);
  return {
    software: softwareOf(fields),
    raw,
    prompt: fields.Prompt ?? prompt,
    negativePrompt: fields['Negative prompt'] ?? negativePrompt,
    values: { ...statedIn(fields, last), model: fields.Model },
    fields,
    warnings: warningsOf(fields),
  };
}

/** The prompts in the lines before the last. */
export function readPrompts(lines: readonly string[]): { prompt: string; negativePrompt: string } {
  const prompt: string[] = [];
  const negative: string[] = [];
  let current = prompt;
  for (const line of lines.map((one) => one.trim())) {
    const isNegative = line.startsWith(NEGATIVE);
    if (isNegative) current = negative;
    const text = isNegative ? line.slice(NEGATIVE.length).trim() : line;
    if (text !== '' || current.length > 0) current.push(text);
  }
  return { prompt: prompt.join('\n'), negativePrompt: negative.join('\n') };
}

/**
 * The `key: value` pairs of a line; what is no pair is passed over. A value that begins with a quote and ends with one
 * before a comma is JSON; any other ends at its comma. One pass, so that a hostile text costs no more than its length.
 */
function readPairs(line: string): [key: string, value: string][] {
  const pairs: [string, string][] = [];
  let start = 0;
  for (let parts = 0; start < line.length && parts < MOST_PARTS; parts++) {
    const comma = line.indexOf(',', start);
    const end = comma < 0 ? line.length : comma;
    const match = KEY.exec(line.slice(start, end));
    const valueStart = start + (match?.[0].length ?? 0);
    const quotedEnd = match && line[valueStart] === '"' ? endOfQuoted(line, valueStart) : undefined;
    const valueEnd = quotedEnd ?? end;
    if (match) pairs.push([match[1] as string, unquote(line.slice(valueStart, valueEnd).trim())]);
    start = valueEnd + 1;
  }
  return pairs;
}

/** The first of a key counts: a later one stands in a value that its program did not quote. */
function firstOfEach(pairs: readonly (readonly [key: string, value: string])[]): Record<string, string> {
  const fields = new Map<string, string>();
  for (const [key, value] of pairs) if (!fields.has(key)) fields.set(key, value);
  return Object.fromEntries(fields);
}

/** Where a text in quotes ends, if a comma or the end of the line follows. */
function endOfQuoted(line: string, start: number): number | undefined {
  let i = start + 1;
  while (i < line.length && line[i] !== '"') i += line[i] === '\\' ? 2 : 1;
  return i < line.length && (i + 1 === line.length || line[i + 1] === ',') ? i + 1 : undefined;
}

function unquote(value: string): string {
  if (!value.startsWith('"') || !value.endsWith('"')) return value;
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}

/** SD.Next and some others state a name next to the version. */
function softwareOf({ App: app, Version: version }: Readonly<Record<string, string>>): string | undefined {
  if (app !== undefined) return version === undefined ? app : `${app} ${version}`;
  if (version === undefined) return undefined;
  if (/^f\d/.test(version)) return `Stable Diffusion WebUI Forge ${version}`;
  return /^v?\d/.test(version) ? `Stable Diffusion web UI ${version}` : version;
}

function warningsOf(fields: Readonly<Record<string, string>>): string[] {
  const others = Object.keys(fields).filter((key) => NOT_FOLLOWED.test(key));
  const { Loras: loras, Embeddings: embeddings } = fields;
  return [
    ...(others.length > 0 ? [`The image was generated with what is not followed here: ${others.join(', ')}`] : []),
    ...(loras ? [`The image was generated with LoRAs whose files must be given again: ${loras}`] : []),
    ...(embeddings ? [`The image was generated with embeddings whose files must be given again: ${embeddings}`] : []),
  ];
}
