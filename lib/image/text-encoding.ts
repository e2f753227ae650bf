// The encoding of text in images, which files state wrongly or not at all.

import { Buffer } from 'node:buffer';
import { TextDecoder } from 'node:util';

/** A byte order mark is a character of the text. */
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Bytes of all texts of an image together that are read, unpacked: more than two prompts of the greatest length, and no more than is
 * parsed at once.
 */
export const MAX_TEXT_BYTES = 2 ** 19;

/**
 * Text in UTF-8 where its bytes are that, otherwise in Latin-1. PNG says Latin-1 for tEXt and zTXt, and stable-diffusion.cpp and
 * StabilityMatrix write UTF-8 there; Latin-1 beyond ASCII that is UTF-8 by chance (`Ã¤`) hardly occurs in words.
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  }
}
