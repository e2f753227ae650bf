// The thread that decodes one PNG file.

import { Buffer } from 'node:buffer';
import { parentPort, workerData } from 'node:worker_threads';
import { PNG } from 'pngjs';
import type { Decoded } from './png.ts';

function decode(png: Uint8Array): Decoded {
  try {
    const { width, height, data } = PNG.sync.read(Buffer.from(png.buffer, png.byteOffset, png.byteLength));
    return { width, height, data: new Uint8Array(data) };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

const decoded = decode(workerData as Uint8Array);
parentPort?.postMessage(decoded, 'data' in decoded ? [decoded.data.buffer as ArrayBuffer] : []);
