// Text in PNG files: the tEXt, zTXt and iTXt chunks (PNG specification, third edition, section 11.3.3).

import { Buffer } from 'node:buffer';
import { inflateSync } from 'node:zlib';
import encodeChunks from 'png-chunks-encode';
import extractChunks from 'png-chunks-extract';
import { DiffusionError } from '../errors.ts';
import { decodeText } from './text-encoding.ts';

/** Bytes of a PNG before its first chunk, and of the IHDR chunk that always comes first. */
const SIGNATURE_LENGTH = 8;
const HEADER_CHUNK_LENGTH = 25;

/** Compressed text may not unpack to more than this many bytes. */
const MAX_TEXT_BYTES = 16 * 1024 * 1024;

/**
 * Adds a text entry to a PNG, before its pixels.
 *
 * Text in Latin-1 that no reader takes for UTF-8 goes into a tEXt chunk and any other into iTXt, which is what Pillow writes and every
 * reader of picture parameters expects.
 *
 * @param png a complete PNG file.
 * @param keyword 1 to 79 Latin-1 characters.
 */
export function withText(png: Buffer, keyword: string, text: string): Buffer {
  const key = Buffer.from(`${keyword}\0`, 'latin1');
  const latin1 = Buffer.from(text, 'latin1');
  const chunk =
    decodeText(latin1) === text
      ? { name: 'tEXt', data: Buffer.concat([key, latin1]) }
      : // Not compressed, no language tag, no translated keyword.
        { name: 'iTXt', data: Buffer.concat([key, Buffer.alloc(4), Buffer.from(text, 'utf8')]) };
  const encoded = encodeChunks([chunk]).subarray(SIGNATURE_LENGTH);
  const start = SIGNATURE_LENGTH + HEADER_CHUNK_LENGTH;
  return Buffer.concat([png.subarray(0, start), encoded, png.subarray(start)]);
}

/**
 * Reads all text entries of a PNG; the first of each keyword counts.
 *
 * @param source what to call the file in an error message.
 * @throws DiffusionError `ERR_IMAGE` if the bytes are no intact PNG.
 */
export function readTexts(png: Uint8Array, source: string): Map<string, string> {
  checkChunkLengths(png, source);
  const texts = new Map<string, string>();
  try {
    for (const { name, data } of extractChunks(png)) {
      const entry = readChunk(name, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
      if (entry && !texts.has(entry.keyword)) texts.set(entry.keyword, entry.text);
    }
  } catch (cause) {
    throw corrupt(source, (cause as Error).message, cause);
  }
  return texts;
}

/** Walks the chunks by their lengths, because the extractor allocates what a length asks for before it looks at the file's end. */
function checkChunkLengths(png: Uint8Array, source: string): void {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  let offset = SIGNATURE_LENGTH;
  while (offset < png.length) {
    if (offset + 12 > png.length) throw corrupt(source, `it ends within a chunk at byte ${offset}`);
    const length = view.getUint32(offset);
    if (length > png.length - offset - 12) {
      throw corrupt(source, `the chunk at byte ${offset} claims ${length} bytes, the file has ${png.length}`);
    }
    const end = view.getUint32(offset + 4) === 0x49454e44; // IEND
    if (end) return;
    offset += 12 + length;
  }
}

function corrupt(source: string, reason: string, cause?: unknown): DiffusionError {
  return new DiffusionError('ERR_IMAGE', `Expected an intact PNG file but ${source} is not one: ${reason}`, { cause });
}

function readChunk(chunk: string, data: Buffer): { keyword: string; text: string } | undefined {
  if (chunk !== 'tEXt' && chunk !== 'zTXt' && chunk !== 'iTXt') return undefined;
  const [keyword, rest] = splitAtZero(data);
  const read = { tEXt: decodeText, zTXt: compressedText, iTXt: internationalText }[chunk];
  return { keyword: keyword.toString('latin1'), text: read(rest) };
}

/** zTXt after the keyword: compression method (0), then a zlib stream. */
function compressedText(data: Buffer): string {
  return decodeText(inflateSync(data.subarray(1), { maxOutputLength: MAX_TEXT_BYTES }));
}

/** iTXt after the keyword: compressed or not, method, language tag, translated keyword, then UTF-8. */
function internationalText(data: Buffer): string {
  const [, afterLanguage] = splitAtZero(data.subarray(2));
  const [, text] = splitAtZero(afterLanguage);
  const plain = data[0] === 1 ? inflateSync(text, { maxOutputLength: MAX_TEXT_BYTES }) : text;
  return plain.toString('utf8');
}

function splitAtZero(data: Buffer): [Buffer, Buffer] {
  const zero = data.indexOf(0);
  if (zero < 0) throw new Error('a text chunk lacks its separator');
  return [data.subarray(0, zero), data.subarray(zero + 1)];
}
