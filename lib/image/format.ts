// Recognizes image formats by the first bytes of a file.

import type { ReadLimits } from '../files/user-file.ts';
import { MAX_FILE_BYTES } from './limits.ts';

/** The first bytes of files. */
const FORMATS = {
  PNG: (bytes: Uint8Array) => begins(bytes, 0, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
  JPEG: (bytes: Uint8Array) => begins(bytes, 0, [0xff, 0xd8, 0xff]),
  WebP: (bytes: Uint8Array) => begins(bytes, 0, [0x52, 0x49, 0x46, 0x46]) && begins(bytes, 8, [0x57, 0x45, 0x42, 0x50]),
} as const;

export type ImageFormat = keyof typeof FORMATS;

const NAMES = Object.keys(FORMATS) as readonly ImageFormat[];

/** @returns undefined for a file in another format. */
export function formatOf(bytes: Uint8Array): ImageFormat | undefined {
  return NAMES.find((name) => FORMATS[name](bytes));
}

/** Limits on reading an image file: a path may lead to a model of many gigabytes, whose beginning is enough. */
export const IMAGE_FILE: ReadLimits = {
  maxBytes: MAX_FILE_BYTES,
  tooLarge: 'ERR_IMAGE',
  isWanted: (beginning) => formatOf(beginning) !== undefined,
};

function begins(bytes: Uint8Array, offset: number, magic: readonly number[]): boolean {
  return magic.every((byte, i) => bytes[offset + i] === byte);
}
