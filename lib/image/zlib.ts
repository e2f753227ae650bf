// Compresses and decompresses on Node's thread pool. Node's own functions for whole buffers end the process if there is no
// memory for the result, which they allocate in a callback.

import { Buffer } from 'node:buffer';
import { createDeflate, createInflate, type Deflate, type Inflate, type ZlibOptions } from 'node:zlib';

/**
 * Bytes of a part. Node allocates parts in a callback too, so they are small: where not even that much is left, V8
 * itself ends the process.
 */
const PART_BYTES = 2 ** 14;

/**
 * Yields what a zlib stream decompresses to. Starts when the first part is requested: an error of a stream that nobody
 * listens to yet would end the process.
 */
export async function* inflateParts(data: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield* through(createInflate({ chunkSize: PART_BYTES }), data);
}

/** Decompresses at most `limit` bytes; undefined if there are more. */
export async function inflate(data: Uint8Array, limit: number): Promise<Buffer | undefined> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of inflateParts(data)) {
    parts.push(part);
    length += part.length;
    if (length > limit) return undefined;
  }
  return Buffer.concat(parts);
}

export async function deflate(data: Uint8Array, options: ZlibOptions): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of through(createDeflate({ ...options, chunkSize: PART_BYTES }), data)) parts.push(part);
  return Buffer.concat(parts);
}

async function* through(stream: Deflate | Inflate, data: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  stream.end(data);
  yield* stream;
}
