// The encoding of text in images, which files state incorrectly or not at all.

import { Buffer } from 'node:buffer';
import { TextDecoder } from 'node:util';

/** A byte order mark is a character of the text. */
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The maximum total bytes of text read from an image, unpacked: more than two prompts of the maximum length, and no
 * more than is parsed at once.
 */
export const MAX_TEXT_BYTES = 2 ** 19;

/**
 * UTF-8 if the bytes are valid UTF-8, otherwise Latin-1. PNG specifies Latin-1 for tEXt and zTXt, but
 * stable-diffusion.cpp and StabilityMatrix write UTF-8 there; non-ASCII Latin-1 that happens to be valid UTF-8 (`Ã¤`)
 * hardly occurs in words.
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  }
}
