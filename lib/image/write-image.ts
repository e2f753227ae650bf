// Writing an image so that a reader never sees half of it, in the format that its name says.

import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { access, open, readlink, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve, sep } from 'node:path';
import { DiffusionError } from '../core/errors.ts';
import { quotePath, specialKind, systemMessage } from '../files/user-file.ts';
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
    else await replaceFile(existing ? await realpath(path) : await targetOf(path), bytes, existing?.mode);
  } catch (error) {
    throw refused(path, error);
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
  if (path === '') throw new DiffusionError('ERR_WRITE', "Expected a file to write but the path is ''");
  const existing = await statIfThere(path, path);
  const folder = path.endsWith('/') || path.endsWith(sep) ? path : dirname(existing ? path : await targetOf(path));
  const around = await statIfThere(folder, path);
  if (!around?.isDirectory()) {
    const place = quotePath(folder);
    const reason = around ? `${place} is no folder` : `the folder ${place} does not exist. Create it first`;
    throw new DiffusionError('ERR_WRITE', `Cannot write ${quotePath(path)}: ${reason}`);
  }
  if (existing?.isDirectory())
    throw new DiffusionError('ERR_WRITE', `Expected a file to write but ${quotePath(path)} is a folder`);
  // A pipe without a reader would be waited for, for ever, and one with a reader might get the half of an image.
  if (existing && !existing.isCharacterDevice() && specialKind(existing)) {
    const remedy = 'Give the path of a file; `diffuse -o -` writes to standard output';
    throw new DiffusionError(
      'ERR_WRITE',
      `Expected a file to write but ${quotePath(path)} is ${specialKind(existing)}. ${remedy}`,
    );
  }
  try {
    if (existing) await access(path, constants.W_OK);
    // A device is written to as it is, anything else under a temporary name beside it.
    if (!existing || existing.isFile()) await access(folder, constants.W_OK);
  } catch (error) {
    throw refused(path, error);
  }
  return existing;
}

/** Where a file is to be made that is not there: its path, or where the symbolic link at that leads. */
async function targetOf(path: string): Promise<string> {
  // More links in a row the system itself refuses to follow, and a loop of them was refused before.
  for (let links = 0, at = path; links < 40; links++) {
    const next = await readlink(at).catch(() => undefined);
    if (next === undefined) return at;
    at = resolve(dirname(at), next);
  }
  return path;
}

async function replaceFile(path: string, bytes: Uint8Array, mode = 0o666): Promise<void> {
  // Names may hold 255 bytes: cut the visible part so that the rest fits whatever its script.
  const temporary = join(dirname(path), `.${basename(path).slice(0, 50)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', mode & 0o777);
    try {
      await file.writeFile(bytes);
      // Without it a file system may rename before it writes: after a power cut there would be neither image.
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
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

async function statIfThere(path: string, target: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw refused(target, error);
  }
}

function refused(path: string, cause: unknown): DiffusionError {
  return new DiffusionError('ERR_WRITE', `Cannot write ${quotePath(path)}: ${systemMessage(cause)}`, { cause });
}
