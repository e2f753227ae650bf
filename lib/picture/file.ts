// Reading the file of a picture, which may be anything.

import { Buffer } from 'node:buffer';
import { type FileHandle, open } from 'node:fs/promises';
import { DiffusionError } from '../errors.ts';
import { checkFileSize } from './limits.ts';

const PART_BYTES = 1024 * 1024;

/**
 * Reads a file to its end, or no further than its beginning where that is none of a picture: a path may lead to a model of
 * many gigabytes, or to a device without an end.
 *
 * @param isPicture judges a file by its first bytes.
 * @throws DiffusionError `ERR_FILE` where it cannot be read, `ERR_IMAGE` where it is too large.
 */
export async function readPictureFile(path: string, isPicture: (bytes: Uint8Array) => boolean): Promise<Uint8Array> {
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    return await readParts(file, path, isPicture);
  } catch (cause) {
    if (cause instanceof DiffusionError) throw cause;
    throw new DiffusionError('ERR_FILE', `Cannot read '${path}': ${(cause as Error).message}`, { cause });
  } finally {
    await file?.close();
  }
}

async function readParts(file: FileHandle, path: string, isPicture: (bytes: Uint8Array) => boolean): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let length = 0; ; ) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(PART_BYTES), 0, PART_BYTES, null);
    if (bytesRead === 0) return Buffer.concat(parts);
    parts.push(buffer.subarray(0, bytesRead));
    length += bytesRead;
    checkFileSize(length, `'${path}'`);
    // A pipe may give its first bytes one by one.
    if (length >= 16 && length - bytesRead < 16 && !isPicture(Buffer.concat(parts))) return Buffer.concat(parts);
  }
}
