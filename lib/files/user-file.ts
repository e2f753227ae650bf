// Files given by users: a path may lead to a pipe, a device or an endless file, and none of them may block the process.

import { Buffer } from 'node:buffer';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { DiffusionError, type DiffusionErrorCode, quote } from '../core/errors.ts';

const PART_BYTES = 1024 * 1024;
/** Enough to recognize any format. */
const BEGINNING = 16;
const MAX_PATH_SHOWN = 200;

/** Limits on reading a file. */
export interface ReadLimits {
  /** The maximum size. */
  readonly maxBytes: number;
  /** The code of the error for a larger file. Default `ERR_FILE`. */
  readonly tooLarge?: DiffusionErrorCode;
  /** Judges a file by its first bytes; an unwanted one is read no further. Default: all are wanted. */
  readonly isWanted?: (beginning: Uint8Array) => boolean;
}

/**
 * Reads a regular file to its end. It is opened without waiting: reading a pipe that nobody writes to would otherwise
 * block a thread of Node's pool forever, and the process could not exit.
 *
 * @throws DiffusionError `ERR_FILE` if the path leads to no readable file; the code in `limits` if it has too many
 *   bytes.
 */
export async function readUserFile(path: string, limits: ReadLimits): Promise<Buffer> {
  let file: FileHandle | undefined;
  try {
    // Windows has neither flag. Without the second, opening a terminal could make it the process's controlling
    // terminal.
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

/** Names anything that is not a regular file; undefined for one that is. */
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

/** The system's message about a file, without the path, which the surrounding message names. */
export function systemMessage(error: unknown): string {
  const { message, syscall } = error as NodeJS.ErrnoException;
  const end = syscall ? message.indexOf(`, ${syscall}`) : -1;
  return end < 0 ? message : message.slice(0, end);
}

/** @param size the size that the file reports, which may be wrong. */
async function readParts(file: FileHandle, size: number, path: string, limits: ReadLimits): Promise<Buffer> {
  const { maxBytes, tooLarge = 'ERR_FILE', isWanted } = limits;
  const parts: Buffer[] = [];
  for (let length = 0; ; ) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(PART_BYTES), 0, PART_BYTES, null);
    if (bytesRead === 0) return Buffer.concat(parts);
    parts.push(buffer.subarray(0, bytesRead));
    length += bytesRead;
    // Some file systems return less than requested.
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
