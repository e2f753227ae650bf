// Text in PNG files: the tEXt, zTXt and iTXt chunks (PNG specification, third edition, section 11.3.3).

import { Buffer } from 'node:buffer';
import { isTurnOver, nextTurn } from '../async/slices.ts';
import { DiffusionError } from '../core/errors.ts';
import { checkChunk, chunksOf, corrupt, encodeChunk, PNG_SIGNATURE } from './png-chunks.ts';
import { decodeText, MAX_TEXT_BYTES } from './text-encoding.ts';
import { inflate } from './zlib.ts';

/** Bytes of the IHDR chunk, which always comes first. */
const HEADER_CHUNK_LENGTH = 25;

const MAX_KEYWORD_LENGTH = 79;

/**
 * Adds a text entry to a PNG, before its pixels.
 *
 * Latin-1 text that no reader mistakes for UTF-8 goes into a tEXt chunk and any other into iTXt, which is what Pillow
 * writes and what every reader of image parameters expects.
 *
 * @param png a complete PNG file.
 * @param keyword 1 to 79 Latin-1 characters.
 */
export async function withText(png: Buffer, keyword: string, text: string): Promise<Buffer> {
  const key = Buffer.from(`${keyword}\0`, 'latin1');
  const latin1 = Buffer.from(text, 'latin1');
  const chunk =
    decodeText(latin1) === text
      ? await encodeChunk('tEXt', Buffer.concat([key, latin1]))
      : // Not compressed, no language tag, no translated keyword.
        await encodeChunk('iTXt', Buffer.concat([key, Buffer.alloc(4), Buffer.from(text, 'utf8')]));
  const start = PNG_SIGNATURE.length + HEADER_CHUNK_LENGTH;
  return Buffer.concat([png.subarray(0, start), chunk, png.subarray(start)]);
}

/**
 * Reads text entries of a PNG; the first of each keyword counts. Entries with other keywords stay unread.
 *
 * @param png copied before the call returns.
 * @param source the name of the file in error messages.
 * @param keywords the most important first: one that is too long is ignored if another was read before it.
 * @throws DiffusionError `ERR_IMAGE` if the bytes are not an intact PNG, or if an entry is too long.
 */
export async function readTexts(
  png: Uint8Array,
  source: string,
  keywords: readonly string[],
): Promise<Map<string, string>> {
  const entries = await findTexts(Buffer.from(png), source, keywords);
  const texts = new Map<string, string>();
  let left = MAX_TEXT_BYTES;
  for (const keyword of keywords) {
    const entry = entries.get(keyword);
    const plain = entry?.compressed ? await inflated(entry.bytes, left, source) : entry?.bytes;
    if (plain && plain.length <= left) {
      left -= plain.length;
      texts.set(keyword, (entry as EncodedText).decode(plain));
    } else if (entry && texts.size === 0) throw tooLong(source);
  }
  return texts;
}

async function findTexts(file: Buffer, source: string, keywords: readonly string[]): Promise<Map<string, EncodedText>> {
  const entries = new Map<string, EncodedText>();
  for (const chunk of chunksOf(file, source)) {
    if (isTurnOver()) await nextTurn();
    await checkChunk(file, chunk, source);
    const read = READERS[chunk.name];
    if (!read) continue;
    const data = file.subarray(chunk.start, chunk.end);
    const zero = data.subarray(0, MAX_KEYWORD_LENGTH + 1).indexOf(0);
    const keyword = data.toString('latin1', 0, Math.max(zero, 0));
    const entry = zero < 0 || !keywords.includes(keyword) ? undefined : read(data.subarray(zero + 1));
    if (zero < 0 || (keywords.includes(keyword) && !entry)) throw corrupt(source, 'a text chunk lacks its separator');
    if (entry && !entries.has(keyword)) entries.set(keyword, entry);
  }
  return entries;
}

/** A text as stored in a chunk. */
interface EncodedText {
  readonly bytes: Buffer;
  /** Whether the bytes are a zlib stream. */
  readonly compressed: boolean;
  readonly decode: (plain: Buffer) => string;
}

/** What text chunks have after the keyword and its zero byte; undefined if it is incomplete. */
const READERS: Readonly<Record<string, (data: Buffer) => EncodedText | undefined>> = {
  tEXt: (bytes) => ({ bytes, compressed: false, decode: decodeText }),
  // The compression method, of which there is one, comes first.
  zTXt: (data) => ({ bytes: data.subarray(1), compressed: true, decode: decodeText }),
  // Compression flag, method, language tag, translated keyword; the latter two end with a zero byte.
  iTXt: (data) => {
    const language = data.indexOf(0, 2);
    const translated = language < 0 ? -1 : data.indexOf(0, language + 1);
    if (translated < 0) return undefined;
    return { bytes: data.subarray(translated + 1), compressed: data[0] === 1, decode: String };
  },
};

/** Inflates on the thread pool; undefined for more than `limit` bytes. */
async function inflated(bytes: Buffer, limit: number, source: string): Promise<Buffer | undefined> {
  try {
    return await inflate(bytes, limit);
  } catch (cause) {
    throw corrupt(source, (cause as Error).message, cause);
  }
}

function tooLong(source: string): DiffusionError {
  return new DiffusionError('ERR_IMAGE', `Expected at most ${MAX_TEXT_BYTES} bytes of text but ${source} has more`);
}
