// The replies of OpenAI's images API: images, events, and failures.

import { type Failure, type FailureKind, STATUS } from '../failure.ts';
import type { ImagesResult, ServedImage } from '../generation.ts';

/** Nothing is counted in tokens here. */
const USAGE = {
  ...{ input_tokens: 0, output_tokens: 0, total_tokens: 0 },
  input_tokens_details: { text_tokens: 0, image_tokens: 0 },
};

/** @param urlOf the address of an image, where images go by that. */
export function imagesReply({ images }: ImagesResult, urlOf: ((index: number) => string) | undefined): object {
  return {
    created: now(),
    data: images.map(({ png }, i) => (urlOf ? { url: urlOf(i) } : { b64_json: png.toString('base64') })),
    ...{ output_format: 'png', size: sizeOf(images[0]), background: 'opaque', quality: 'auto', usage: USAGE },
  };
}

/** What is said of an image in an event. */
export function imageEvent(type: string, png: Buffer, size: string): object {
  return {
    ...{ type, b64_json: png.toString('base64'), created_at: now(), size },
    ...{ quality: 'auto', background: 'opaque', output_format: 'png' },
  };
}

/** The last event of an image. */
export function completedEvent(type: string, image: ServedImage): object {
  return { ...imageEvent(type, image.png, sizeOf(image)), usage: USAGE };
}

function sizeOf(image: ServedImage | undefined): string {
  return image ? `${image.width}x${image.height}` : '';
}

export function now(): number {
  return Math.floor(Date.now() / 1000);
}

const TYPES: Readonly<Partial<Record<FailureKind, string>>> = {
  full: 'rate_limit_error',
  internal: 'server_error',
  unavailable: 'server_error',
  forbidden: 'permission_error',
};

/** Codes that clients look for. */
const CODES: Readonly<Partial<Record<FailureKind, string>>> = {
  unauthorized: 'invalid_api_key',
  full: 'rate_limit_exceeded',
};

export function openaiError({ kind, code, message, problems }: Failure): { status: number; body: object } {
  const param = problems[0]?.name ?? null;
  const isModel = kind === 'not-found' && param === 'model';
  const type = TYPES[kind] ?? 'invalid_request_error';
  const error = { message, type, param, code: isModel ? 'model_not_found' : (CODES[kind] ?? code) };
  return { status: STATUS[kind], body: { error } };
}
