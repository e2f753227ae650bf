// The fields of OpenAI's images API as options.

import { argumentError, describe } from '../../core/errors.ts';
import { toNumber, withoutUndefined } from '../../core/values.ts';
import { readImage } from '../../image/input.ts';
import { readSeed } from '../../rng/seed.ts';
import type { FieldNames } from '../failure.ts';
import { Fields } from '../fields.ts';
import { checkRuns, type ImageRequest } from '../generation.ts';

/** What the API calls options. */
export const NAMES: FieldNames = {
  negativePrompt: 'negative_prompt',
  cfgScale: 'cfg_scale',
  count: 'n',
  width: 'size',
  height: 'size',
  'width x height x batchSize': 'size',
};

/** What the reply is to be. */
export interface ReplyWishes {
  /** Whether images go by their addresses. */
  readonly asUrl: boolean;
  readonly streams: boolean;
  /** Images before the result, 0 to 3. */
  readonly partialImages: number;
}

/** Fields that say nothing about the image here. */
const WITHOUT_EFFECT = [
  ...['quality', 'style', 'background', 'user', 'moderation', 'input_fidelity', 'output_compression'],
];
const MAX_PARTIAL_IMAGES = 3;

/** The fields of a form, numbers and switches as they are in JSON. @throws TypeError for files in other fields. */
export function formValues(form: FormData): Record<string, unknown> {
  const values = [...form].filter(([name]) => !['image', 'image[]', 'mask'].includes(name));
  return Object.fromEntries(values.map(([name, value]) => [name, name === 'prompt' ? value : fromText(value)]));
}

function fromText(value: unknown): unknown {
  if (value === 'true' || value === 'false') return value === 'true';
  return typeof value === 'string' ? (readSeed(value) ?? toNumber(value)) : value;
}

/**
 * Reads the fields that generations and edits share.
 *
 * @param images the options of images.
 * @throws TypeError or RangeError for fields that mean nothing as they are.
 */
export function toImageRequest(
  body: Readonly<Record<string, unknown>>,
  images: { readonly image?: Uint8Array; readonly mask?: object },
): { readonly request: ImageRequest; readonly wishes: ReplyWishes } {
  const fields = new Fields(body);
  const task = images.mask ? 'inpaint' : images.image ? 'img2img' : 'txt2img';
  const strength = fields.take('strength');
  const options = {
    prompt: fields.take('prompt'),
    negativePrompt: fields.take('negative_prompt'),
    ...toSize(fields),
    // LocalAI's clients have one step.
    steps: fields.take('steps') ?? fields.take('step'),
    ...{ seed: fields.take('seed'), cfgScale: fields.take('cfg_scale') },
    ...{ sampler: fields.take('sampler'), scheduler: fields.take('scheduler') },
    ...(task === 'txt2img' ? {} : { strength }),
    ...images,
  };
  const wishes = toWishes(fields);
  fields.ignore('step', ...WITHOUT_EFFECT);
  fields.refuse(['output_format'], 'png');
  const request = {
    ...({ task, options: withoutUndefined(options), names: NAMES } as const),
    runs: checkRuns(fields.take('n'), 'n'),
    model: fields.text('model'),
    largePreviews: wishes.partialImages > 0,
    unknown: fields.unknown(),
  };
  return { request, wishes };
}

function toWishes(fields: Fields): ReplyWishes {
  const format = fields.text('response_format') ?? 'b64_json';
  if (format !== 'url' && format !== 'b64_json') throw wrong('response_format', 'url or b64_json', format);
  const partialImages = fields.number('partial_images') ?? 0;
  if (!Number.isInteger(partialImages) || partialImages < 0 || partialImages > MAX_PARTIAL_IMAGES) {
    throw wrong('partial_images', `0 to ${MAX_PARTIAL_IMAGES}`, partialImages);
  }
  return { asUrl: format === 'url', streams: fields.flag('stream') ?? false, partialImages };
}

/** `512x768`, or `auto` for the size of the model. */
function toSize(fields: Fields): { width?: number; height?: number } {
  const size = fields.text('size') ?? 'auto';
  if (size === 'auto' || size === '') return {};
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(size) ?? [];
  if (width === undefined) throw wrong('size', 'a width and a height such as 512x512, or auto', size);
  return { width: Number(width), height: Number(height) };
}

function wrong(name: string, expected: string, value: unknown): Error {
  return argumentError([{ name, expected, received: describe(value), code: 'ERR_INVALID_ARG_VALUE' }]);
}

/**
 * The images of a form.
 *
 * @throws TypeError or RangeError for anything but one image and at most one mask; DiffusionError for a mask that cannot
 *   be read.
 */
export async function formImages(form: FormData, maxPixels: number): Promise<{ image: Uint8Array; mask?: object }> {
  const given = [...form.getAll('image'), ...form.getAll('image[]')];
  const [image] = given;
  if (given.length !== 1) throw wrong('image', 'one image', given);
  const masks = form.getAll('mask');
  if (masks.length > 1) throw wrong('mask', 'one mask', masks);
  const bytes = await fileBytes(image, 'image');
  if (masks.length === 0) return { image: bytes };
  return { image: bytes, mask: await toMask(await fileBytes(masks[0], 'mask'), maxPixels) };
}

async function fileBytes(value: unknown, name: string): Promise<Uint8Array> {
  if (typeof value === 'string' || value === null || value === undefined) throw wrong(name, 'a file', value);
  return new Uint8Array(await (value as Blob).arrayBuffer());
}

/** What is transparent is drawn: the opposite of what masks are elsewhere. */
async function toMask(bytes: Uint8Array, maxPixels: number): Promise<object> {
  const { width, height, data } = await readImage(bytes, 'mask', maxPixels);
  const mask = new Uint8Array(width * height);
  for (let i = 0; i < mask.length; i++) mask[i] = 255 - (data[4 * i + 3] as number);
  return { width, height, data: mask };
}
