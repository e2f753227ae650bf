// Writes a file so that a reader never sees half of it.

import { randomBytes } from 'node:crypto';
import { constants, fsync, type Stats } from 'node:fs';
import { access, type FileHandle, open, readlink, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { promisify } from 'node:util';
import { DiffusionError } from '../core/errors.ts';
import { quotePath, specialKind, systemMessage } from './user-file.ts';

/**
 * Checks that a file can be written to a place.
 *
 * @param otherwise an alternative to offer for a pipe or the like, after `Give the path of a file`.
 * @returns what exists there: a regular file, or a character device.
 * @throws DiffusionError `ERR_WRITE`.
 */
export async function checkPlace(path: string, otherwise = ''): Promise<Stats | undefined> {
  if (path === '') throw new DiffusionError('ERR_WRITE', "Expected a file to write but the path is ''");
  const existing = await statIfThere(path, path);
  const folder = path.endsWith('/') || path.endsWith(sep) ? path : dirname(existing ? path : await targetOf(path));
  const around = await statIfThere(folder, path);
  if (!around?.isDirectory()) {
    const place = quotePath(folder);
    const reason = around ? `${place} is not a folder` : `the folder ${place} does not exist. Create it first`;
    throw new DiffusionError('ERR_WRITE', `Cannot write ${quotePath(path)}: ${reason}`);
  }
  if (existing?.isDirectory())
    throw new DiffusionError('ERR_WRITE', `Expected a file to write but ${quotePath(path)} is a folder`);
  // Opening a pipe without a reader would wait forever, and one with a reader might get half an image.
  if (existing && !existing.isCharacterDevice() && specialKind(existing)) {
    const remedy = `Give the path of a file${otherwise}`;
    throw new DiffusionError(
      'ERR_WRITE',
      `Expected a file to write but ${quotePath(path)} is ${specialKind(existing)}. ${remedy}`,
    );
  }
  try {
    if (existing) await access(path, constants.W_OK);
    // A device is written to directly, anything else under a temporary name next to it.
    if (!existing || existing.isFile()) await access(folder, constants.W_OK);
  } catch (error) {
    throw writeError(path, error);
  }
  return existing;
}

/**
 * Writes a complete file or nothing, even if the machine loses power: under a temporary name in the same folder, synced
 * to disk and then renamed over the target. A symbolic link is followed.
 *
 * @param existing what {@link checkPlace} returned for the path.
 * @param write gets the file under its temporary name.
 */
export async function replaceFile<T>(
  path: string,
  existing: Stats | undefined,
  write: (file: FileHandle, temporary: string) => Promise<T>,
): Promise<T> {
  const target = existing ? await realpath(path) : await targetOf(path);
  // Names are limited to 255 bytes: cut the visible part so that the rest fits in any script.
  const temporary = join(dirname(target), `.${basename(target).slice(0, 50)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', (existing?.mode ?? 0o666) & 0o777);
    let result: T;
    try {
      result = await write(file, temporary);
      // Without it a file system may rename before it writes: after a power cut neither file would exist. Not by
      // file.sync(), which files do not have under Yarn's Plug and Play.
      await promisify(fsync)(file.fd);
    } finally {
      await file.close();
    }
    await rename(temporary, target);
    return result;
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** The error to throw for a system error while writing. */
export function writeError(path: string, cause: unknown): DiffusionError {
  return new DiffusionError('ERR_WRITE', `Cannot write ${quotePath(path)}: ${systemMessage(cause)}`, { cause });
}

/** Where to create a file that does not exist: its path, or the target of the symbolic link there. */
async function targetOf(path: string): Promise<string> {
  // The system itself follows no more links in a row, and a loop was rejected before.
  for (let links = 0, at = path; links < 40; links++) {
    const next = await readlink(at).catch(() => undefined);
    if (next === undefined) return at;
    at = resolve(dirname(at), next);
  }
  return path;
}

async function statIfThere(path: string, target: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw writeError(target, error);
  }
}
