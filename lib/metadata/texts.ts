// Which program wrote the texts of an image, and so who reads them.

import { readComfyUi } from './comfyui.ts';
import { readInfotext } from './infotext.ts';
import { type JsonObject, looksLikeJson, own, parseObject } from './json.ts';
import { readFooocus, readInvokeAi, readInvokeAi2, readNovelAi, readSwarmUi } from './programs.ts';
import type { Statement } from './statement.ts';

/** Keywords of the texts that are looked at. */
export const KEYWORDS = [
  ...['parameters', 'prompt', 'invokeai_metadata', 'sd-metadata'],
  ...['Comment', 'Description', 'Software', 'fooocus_scheme'],
] as const;

const NOVELAI = 'NovelAI';

export type Texts = ReadonlyMap<string, string>;

/** @returns undefined where no text says how the image was made. */
export function readStatement(texts: Texts): Statement | undefined {
  const parameters = texts.get('parameters');
  if (parameters !== undefined) return readParameters(parameters, texts);
  const isNovelAi = texts.get('Software') === NOVELAI;
  const read: readonly [keyword: string, (raw: string, data: JsonObject) => Statement | undefined][] = [
    ['invokeai_metadata', readInvokeAi],
    ['sd-metadata', readInvokeAi2],
    ['prompt', readComfyUi],
    ['Comment', (raw, data) => (isNovelAi ? readNovelAi(raw, data, texts.get('Description')) : undefined)],
  ];
  for (const [keyword, reader] of read) {
    const raw = texts.get(keyword);
    const data = raw === undefined ? undefined : parseObject(raw);
    const statement = data && reader(raw as string, data);
    if (statement) return withWarningOfWeights(statement);
  }
  return undefined;
}

/** JSON never is a prompt, even where nobody knows it. */
function readParameters(raw: string, texts: Texts): Statement {
  const data = parseObject(raw);
  const statement = data && readKnown(raw, data, texts);
  if (statement) return withWarningOfWeights(statement);
  if (!data) {
    const infotext = readInfotext(raw);
    if (!looksLikeJson(raw) || Object.keys(infotext.fields).length > 0) return infotext;
  }
  const kind = data ? 'of a program that is unknown here' : 'that is damaged';
  const warnings = [`Its parameters are JSON ${kind}; nothing of them is read`];
  return { software: texts.get('Software'), raw, prompt: '', negativePrompt: '', values: {}, fields: {}, warnings };
}

function readKnown(raw: string, data: JsonObject, texts: Texts): Statement | undefined {
  // NovelAI writes all of its texts as one object into WebP files.
  if (own(data, 'Software') === NOVELAI) {
    const comment = parseObject(textOf(own(data, 'Comment')) ?? '');
    return comment && readNovelAi(raw, comment, textOf(own(data, 'Description')));
  }
  return readSwarmUi(raw, data) ?? readFooocus(raw, data, texts.get('fooocus_scheme')) ?? readComfyUi(raw, data);
}

/** Brackets weigh words as in the web UI here; each of the other programs has rules of its own. */
function withWarningOfWeights(statement: Statement): Statement {
  const { prompt, negativePrompt, software, warnings } = statement;
  if (!/[([{]/.test(prompt + negativePrompt)) return statement;
  return {
    ...statement,
    warnings: [...warnings, `Brackets in its prompts mean something else in ${software} than here`],
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
