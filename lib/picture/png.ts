// PNG files to pixels, on a thread of its own: decoding one of 1024x1024 would hold up the event loop for a tenth of a second.

import { Worker } from 'node:worker_threads';
import { DiffusionError } from '../errors.ts';
import { checkPictureSize } from './limits.ts';
import { orient, orientationOf } from './orientation.ts';
import type { Pixels } from './pixels.ts';

/** Where the IHDR chunk, which comes first, has its type, width and height. */
const HEADER = { type: 12, width: 16, height: 20, end: 33 } as const;
const CHUNK_OVERHEAD = 12;

/**
 * @param png bytes that begin as a PNG does; copied before the call returns.
 * @returns RGBA.
 * @throws DiffusionError `ERR_IMAGE` where they are no intact PNG, or one of too many pixels.
 */
export async function decodePng(png: Uint8Array, source: string): Promise<Pixels> {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  if (png.length < HEADER.end || nameAt(view, HEADER.type) !== 'IHDR') {
    throw corrupt(source, 'it does not begin with a header');
  }
  checkPictureSize(view.getUint32(HEADER.width), view.getUint32(HEADER.height), source);
  const exif = findChunk(view, 'eXIf');
  const orientation = exif ? orientationOf(exif) : 1;
  return orient(await decodeInWorker(png, source), orientation);
}

/** What the worker answers. */
export type Decoded = Omit<Pixels, 'channels'> | { readonly error: string };

function decodeInWorker(png: Uint8Array, source: string): Promise<Pixels> {
  return new Promise((resolve, reject) => {
    // Options of this process, such as --input-type, need not suit a worker.
    const workerData = new Uint8Array(png);
    const options = { workerData, transferList: [workerData.buffer], execArgv: [] };
    const worker = new Worker(new URL('./png-worker.js', import.meta.url), options);
    worker.once('message', (decoded: Decoded) => {
      if ('error' in decoded) reject(corrupt(source, decoded.error));
      else resolve({ ...decoded, channels: 4 });
    });
    worker.once('error', (cause) => reject(corrupt(source, cause.message, cause)));
    worker.once('exit', () => reject(corrupt(source, 'its decoder ended without an answer')));
  });
}

/** The data of the first chunk of a name; chunks that run over the end are left to the decoder to complain of. */
function findChunk(view: DataView, name: string): Uint8Array | undefined {
  let offset = HEADER.end;
  while (offset + CHUNK_OVERHEAD <= view.byteLength) {
    const length = view.getUint32(offset);
    if (offset + CHUNK_OVERHEAD + length > view.byteLength) return undefined;
    if (nameAt(view, offset + 4) === name) return new Uint8Array(view.buffer, view.byteOffset + offset + 8, length);
    offset += CHUNK_OVERHEAD + length;
  }
  return undefined;
}

function nameAt(view: DataView, offset: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(offset + i)));
}

function corrupt(source: string, reason: string, cause?: unknown): DiffusionError {
  return new DiffusionError('ERR_IMAGE', `Expected an intact PNG file but ${source} is not one: ${reason}`, { cause });
}
