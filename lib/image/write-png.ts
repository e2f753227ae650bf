// Writing a picture so that a reader never sees half of it.

import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { access, constants, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve, sep } from 'node:path';
import { DiffusionError } from '../errors.ts';

/** Extensions of other picture formats, which a PNG must not be given. */
const OTHER_FORMATS = ['.jpg', '.jpeg', '.webp', '.gif', '.bmp', '.tif', '.tiff', '.avif', '.heic', '.jxl'];

/**
 * Writes a PNG whole or not at all: under a temporary name in the same folder, then renamed over the target. A symbolic
 * link is followed; a device or a pipe is written to as it is.
 *
 * @throws DiffusionError `ERR_WRITE` as {@link checkWritable}, and when the system refuses.
 */
export async function writePng(path: string, bytes: Uint8Array): Promise<void> {
  const existing = await checkWritable(path);
  try {
    if (existing && !existing.isFile()) await writeFile(path, bytes);
    else await replaceFile(existing ? await realpath(path) : path, bytes, existing?.mode);
  } catch (error) {
    throw refused(path, error);
  }
}

/**
 * Checks that a PNG can be put where it shall go, before the work whose result it will hold.
 *
 * @returns what is there already.
 * @throws DiffusionError `ERR_WRITE` when the folder does not exist, when it or the file that is there may not be written,
 *   when the path is empty or itself a folder, or when its name is that of another picture format.
 */
export async function checkWritable(path: string): Promise<Stats | undefined> {
  const extension = extname(path).toLowerCase();
  if (OTHER_FORMATS.includes(extension)) {
    throw new DiffusionError(
      'ERR_WRITE',
      `Expected a name for a PNG but '${path}' ends in ${extension}. End it in .png`,
    );
  }
  if (path === '') throw new DiffusionError('ERR_WRITE', "Expected a file to write but the path is ''");
  const folder = path.endsWith('/') || path.endsWith(sep) ? path : dirname(resolve(path));
  if (!(await statIfThere(folder, path))?.isDirectory()) {
    throw new DiffusionError(
      'ERR_WRITE',
      `Cannot write '${path}': the folder '${folder}' does not exist. Create it first`,
    );
  }
  const existing = await statIfThere(path, path);
  if (existing?.isDirectory())
    throw new DiffusionError('ERR_WRITE', `Expected a file to write but '${path}' is a folder`);
  try {
    if (existing) await access(path, constants.W_OK);
    // A device or a pipe is written to as it is, anything else under a temporary name beside it.
    if (!existing || existing.isFile()) await access(folder, constants.W_OK);
  } catch (error) {
    throw refused(path, error);
  }
  return existing;
}

async function replaceFile(path: string, bytes: Uint8Array, mode = 0o666): Promise<void> {
  // Names may hold 255 bytes: cut the visible part so that the rest fits whatever its script.
  const temporary = join(dirname(path), `.${basename(path).slice(0, 50)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await writeFile(temporary, bytes, { flag: 'wx', mode: mode & 0o777 });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
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
  return new DiffusionError('ERR_WRITE', `Cannot write '${path}': ${(cause as Error).message}`, { cause });
}
