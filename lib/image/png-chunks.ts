// The chunks of a PNG file (PNG specification, third edition, section 5).

import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { isTurnOver, nextTurn } from '../async/slices.ts';
import { DiffusionError } from '../core/errors.ts';

/** The signature of PNG. */
export const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Bytes of a chunk in addition to its data: length and name before it, checksum after it. */
const CHUNK_OVERHEAD = 12;

/** Bytes checksummed between two checks of the clock: a fraction of a millisecond. */
const CHECKSUM_PART = 2 ** 18;

/** A chunk of a file, and where its data is. */
export interface PngChunk {
  /** Four letters. */
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Iterates over the chunks up to the last, IEND, which is omitted. A file may have millions of them: the caller must
 * yield to the event loop.
 *
 * @param source the name of the file in error messages.
 * @throws DiffusionError `ERR_IMAGE` if the signature or the length of a chunk is wrong.
 */
export function* chunksOf(png: Buffer, source: string): Generator<PngChunk, void, undefined> {
  if (!png.subarray(0, PNG_SIGNATURE.length).equals(PNG_SIGNATURE)) throw corrupt(source, 'it has another signature');
  for (let offset = PNG_SIGNATURE.length; ; ) {
    if (offset + CHUNK_OVERHEAD > png.length) throw corrupt(source, 'it ends before its last chunk');
    const start = offset + 8;
    const end = start + png.readUInt32BE(offset);
    if (end + 4 > png.length) throw corrupt(source, `the chunk at byte ${offset} goes over the end of the file`);
    const name = png.toString('latin1', offset + 4, start);
    if (offset === PNG_SIGNATURE.length && name !== 'IHDR') throw corrupt(source, 'it does not begin with a header');
    if (name === 'IEND') return;
    yield { name, start, end };
    offset = end + 4;
  }
}

/** @throws DiffusionError `ERR_IMAGE` if a chunk's checksum is wrong. */
export async function checkChunk(png: Buffer, { name, start, end }: PngChunk, source: string): Promise<void> {
  const checksum = await checksumOf(png.subarray(start - 4, end));
  if (checksum !== png.readUInt32BE(end)) throw corrupt(source, `the checksum of its chunk ${name} is wrong`);
}

/** A chunk as bytes of a file. */
export async function encodeChunk(name: string, data: Uint8Array): Promise<Buffer> {
  const chunk = Buffer.alloc(CHUNK_OVERHEAD + data.length);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(name, 4, 'latin1');
  chunk.set(data, 8);
  chunk.writeUInt32BE(await checksumOf(chunk.subarray(4, -4)), data.length + 8);
  return chunk;
}

/** The error for a file that is not a PNG, or incomplete. */
export function corrupt(source: string, reason: string, cause?: unknown): DiffusionError {
  return new DiffusionError('ERR_IMAGE', `Expected an intact PNG file but ${source} is not one: ${reason}`, { cause });
}

async function checksumOf(bytes: Buffer): Promise<number> {
  let checksum = 0;
  for (let start = 0; start < bytes.length; start += CHECKSUM_PART) {
    if (isTurnOver()) await nextTurn();
    checksum = crc32(bytes.subarray(start, start + CHECKSUM_PART), checksum);
  }
  return checksum;
}
