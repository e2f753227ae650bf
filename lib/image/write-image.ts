// Writes an image so that a reader never sees half of it, in the format of its extension.

import { constants, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import { extname } from 'node:path';
import { DiffusionError } from '../core/errors.ts';
import { quotePath } from '../files/user-file.ts';
import { checkPlace, replaceFile, writeError } from '../files/whole-file.ts';
import { checkPath, MAX_PATH_LENGTH, type OptionCheck } from '../options/check.ts';
import { loadSharp } from './jpeg-webp.ts';

/** Formats that can be written. */
export type WrittenFormat = 'png' | 'jpeg' | 'webp';

/** File name extensions of formats other than PNG; undefined for formats that cannot be written. */
const FORMATS: Readonly<Record<string, WrittenFormat | undefined>> = {
  ...{ '.jpg': 'jpeg', '.jpeg': 'jpeg', '.webp': 'webp' },
  ...Object.fromEntries(['.gif', '.bmp', '.tif', '.tiff', '.avif', '.heic', '.jxl'].map((name) => [name, undefined])),
};

/**
 * The format of a file name; undefined if that format cannot be written.
 *
 * @throws TypeError or RangeError for an invalid or very long path.
 */
export function namedFormat(path: string): WrittenFormat | undefined {
  if (typeof path !== 'string' || path.length > MAX_PATH_LENGTH) checkPath(path);
  const extension = extname(path).toLowerCase();
  return extension in FORMATS ? FORMATS[extension] : 'png';
}

/** @param name of the option, if it is called differently in messages. */
export function checkQuality(check: OptionCheck, name = 'quality'): number {
  return check.number(name, 90, { min: 1, max: 100, integer: true });
}

/** The message for a name with a format that cannot be written. */
export function refusedFormat(path: string): string {
  return `Expected a name that ends in .png, .jpg or .webp but ${quotePath(path)} ends in ${extname(path)}`;
}

/**
 * Writes an image file completely or not at all, even if the machine loses power: under a temporary name in the same
 * folder, synced to disk and then renamed over the target. A symbolic link is followed; a character device, such as
 * /dev/null, is written to directly.
 *
 * @throws DiffusionError `ERR_WRITE` like {@link checkWritable}, and if the system refuses.
 */
export async function writeImage(path: string, bytes: Uint8Array): Promise<void> {
  const existing = await checkWritable(path);
  try {
    if (existing?.isCharacterDevice()) await writeDevice(path, bytes);
    else await replaceFile(path, existing, (file) => file.writeFile(bytes));
  } catch (error) {
    throw writeError(path, error);
  }
}

/**
 * Checks that an image can be written to a place, before the work that produces it.
 *
 * @returns what exists there.
 * @throws DiffusionError `ERR_WRITE` if the folder does not exist, if it or the existing file is not writable, if the
 *   path is empty or leads to a folder, a FIFO, a socket or a disk, or if its name has the extension of a format that
 *   cannot be written; `ERR_MISSING_PACKAGE` for JPEG or WebP if `sharp` is not installed.
 */
export async function checkWritable(path: string): Promise<Stats | undefined> {
  const format = namedFormat(path);
  if (format === undefined) throw new DiffusionError('ERR_WRITE', refusedFormat(path));
  if (format !== 'png') await loadSharp(format === 'jpeg' ? 'JPEG' : 'WebP', quotePath(path));
  return checkPlace(path, '; `diffuse -o -` writes to standard output');
}

/** Some devices are temporarily unable to accept more; that is an error here, and nothing to wait for. */
async function writeDevice(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, constants.O_WRONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0));
  try {
    await file.writeFile(bytes);
  } finally {
    await file.close();
  }
}
