// Writing an image so that a reader never sees half of it, in the format that its name says.

import { constants, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import { extname } from 'node:path';
import { DiffusionError } from '../core/errors.ts';
import { quotePath } from '../files/user-file.ts';
import { checkPlace, replaceFile, writeError } from '../files/whole-file.ts';
import { checkPath, MAX_PATH_LENGTH, type OptionCheck } from '../options/check.ts';
import { loadSharp } from './jpeg-webp.ts';

/** Formats that are written. */
export type WrittenFormat = 'png' | 'jpeg' | 'webp';

/** What names of files end in, where that is not for PNG; undefined for formats that are not written. */
const FORMATS: Readonly<Record<string, WrittenFormat | undefined>> = {
  ...{ '.jpg': 'jpeg', '.jpeg': 'jpeg', '.webp': 'webp' },
  ...Object.fromEntries(['.gif', '.bmp', '.tif', '.tiff', '.avif', '.heic', '.jxl'].map((name) => [name, undefined])),
};

/**
 * The format that the name of a file asks for; undefined where that is one that is not written.
 *
 * @throws TypeError or RangeError for what is no path or a very long one.
 */
export function namedFormat(path: string): WrittenFormat | undefined {
  if (typeof path !== 'string' || path.length > MAX_PATH_LENGTH) checkPath(path);
  const extension = extname(path).toLowerCase();
  return extension in FORMATS ? FORMATS[extension] : 'png';
}

/** @param name of the option, where it has another in messages. */
export function checkQuality(check: OptionCheck, name = 'quality'): number {
  return check.number(name, 90, { min: 1, max: 100, integer: true });
}

/** What to say of a name that asks for a format that is not written. */
export function refusedFormat(path: string): string {
  return `Expected a name that ends in .png, .jpg or .webp but ${quotePath(path)} ends in ${extname(path)}`;
}

/**
 * Writes the bytes of an image whole or not at all, also where the machine loses power: under a temporary name in the same folder,
 * brought to the disk and then renamed over the target. A symbolic link is followed; a character device, such as /dev/null, is
 * written to as it is.
 *
 * @throws DiffusionError `ERR_WRITE` as {@link checkWritable}, and when the system refuses.
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
 * Checks that an image can be put where it shall go, before the work whose result it will hold.
 *
 * @returns what is there already.
 * @throws DiffusionError `ERR_WRITE` when the folder does not exist, when it or the file that is there may not be written,
 *   when the path is empty or leads to a folder, a FIFO, a socket or a disk, or when its name is that of a format that is not written;
 *   `ERR_MISSING_PACKAGE` where it is JPEG or WebP and `sharp` is not installed.
 */
export async function checkWritable(path: string): Promise<Stats | undefined> {
  const format = namedFormat(path);
  if (format === undefined) throw new DiffusionError('ERR_WRITE', refusedFormat(path));
  if (format !== 'png') await loadSharp(format === 'jpeg' ? 'JPEG' : 'WebP', quotePath(path));
  return checkPlace(path, '; `diffuse -o -` writes to standard output');
}

/** Some devices take nothing more at times; that is an error then and nothing to wait for. */
async function writeDevice(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, constants.O_WRONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0));
  try {
    await file.writeFile(bytes);
  } finally {
    await file.close();
  }
}
