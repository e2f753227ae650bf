// Files that users name: a path may lead to a pipe, a device or a file without an end, and none of them may hold up the process.

import { Buffer } from 'node:buffer';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { DiffusionError, type DiffusionErrorCode, quote } from '../core/errors.ts';

const PART_BYTES = 1024 * 1024;
/** Enough to tell any format by. */
const BEGINNING = 16;
const MAX_PATH_SHOWN = 200;

/** What bounds the reading of a file. */
export interface ReadLimits {
  /** The most bytes that it may have. */
  readonly maxBytes: number;
  /** The code of the error for one that has more. Default `ERR_FILE`. */
  readonly tooLarge?: DiffusionErrorCode;
  /** Judges a file by its first bytes; one that is not wanted is read no further. Default: all are. */
  readonly isWanted?: (beginning: Uint8Array) => boolean;
}

/**
 * Reads a regular file to its end. It is opened without waiting: a pipe that nobody writes to, read in the ordinary way, takes a thread
 * of Node's pool for ever, and the process cannot exit then.
 *
 * @throws DiffusionError `ERR_FILE` where the path leads to no file or to one that cannot be read; the code in `limits` where it has
 *   too many bytes.
 */
export async function readUserFile(path: string, limits: ReadLimits): Promise<Buffer> {
  let file: FileHandle | undefined;
  try {
    // Windows has neither flag. Without the second, opening a terminal could make it that of the process.
    file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0));
    const entry = await file.stat();
    const special = specialKind(entry);
    if (special) throw unreadable(path, `it is ${special}. Give the path of a file`);
    return await readParts(file, entry.size, path, limits);
  } catch (cause) {
    if (cause instanceof DiffusionError) throw cause;
    throw unreadable(path, systemMessage(cause), cause);
  } finally {
    await file?.close();
  }
}

/** What is no regular file, in words; undefined for one that is. */
export function specialKind(entry: Stats): string | undefined {
  if (entry.isFile()) return undefined;
  if (entry.isDirectory()) return 'a directory';
  if (entry.isFIFO()) return 'a FIFO';
  if (entry.isSocket()) return 'a socket';
  return 'a device';
}

/** A path as messages show it. */
export function quotePath(path: string): string {
  return quote(path, MAX_PATH_SHOWN);
}

/** What the system says of a file, without the path, which the message around it names. */
export function systemMessage(error: unknown): string {
  const { message, syscall } = error as NodeJS.ErrnoException;
  const end = syscall ? message.indexOf(`, ${syscall}`) : -1;
  return end < 0 ? message : message.slice(0, end);
}

/** @param size that the file says it has, which it may not keep to. */
async function readParts(file: FileHandle, size: number, path: string, limits: ReadLimits): Promise<Buffer> {
  const { maxBytes, tooLarge = 'ERR_FILE', isWanted } = limits;
  const parts: Buffer[] = [];
  for (let length = 0; ; ) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(PART_BYTES), 0, PART_BYTES, null);
    if (bytesRead === 0) return Buffer.concat(parts);
    parts.push(buffer.subarray(0, bytesRead));
    length += bytesRead;
    // Some file systems give less than was asked for.
    const isBeginning = length >= BEGINNING && length - bytesRead < BEGINNING;
    if (isBeginning && isWanted && !isWanted(Buffer.concat(parts))) return Buffer.concat(parts);
    if (Math.max(length, size) > maxBytes) {
      throw new DiffusionError(tooLarge, `Expected at most ${maxBytes} bytes but ${quotePath(path)} has more`);
    }
  }
}

function unreadable(path: string, reason: string, cause?: unknown): DiffusionError {
  return new DiffusionError('ERR_FILE', `Cannot read ${quotePath(path)}: ${reason}`, { cause });
}
