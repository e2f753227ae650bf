// Writes the generation parameters into JPEG and WebP files where AUTOMATIC1111's web UI has them: the EXIF user
// comment.

import { Buffer } from 'node:buffer';

/** Tags and types of EXIF 2.32. */
export const EXIF_DIRECTORY = 0x8769;
export const USER_COMMENT = 0x9286;
const LONG = 4;
const UNDEFINED = 7;

/** The prefix of EXIF in a JPEG; WebP has none. */
export const EXIF_HEADER = Buffer.from('Exif\0\0', 'latin1');
/** A JPEG segment gives its length in two bytes, including those. */
const MAX_SEGMENT = 0xffff;
const LENGTH_BYTES = 2;

/**
 * Adds a text to a JPEG file.
 *
 * @returns undefined if the text does not fit: there is room for about 32,000 characters, twice that in ASCII.
 */
export function withJpegComment(jpeg: Buffer, text: string): Buffer | undefined {
  const data = Buffer.concat([EXIF_HEADER, exif(text)]);
  if (data.length + LENGTH_BYTES > MAX_SEGMENT) return undefined;
  const segment = Buffer.from([0xff, 0xe1, 0, 0]);
  segment.writeUInt16BE(data.length + LENGTH_BYTES, 2);
  return Buffer.concat([jpeg.subarray(0, 2), segment, data, jpeg.subarray(2)]);
}

/**
 * Adds a text to a WebP file with a single image and nothing else (WebP container specification, "Extended file
 * format").
 *
 * @param webp a file that begins with its VP8 or VP8L chunk.
 */
export function withWebpComment(webp: Buffer, width: number, height: number, text: string): Buffer {
  const HAS_EXIF = 0x08;
  const features = Buffer.alloc(10);
  features[0] = HAS_EXIF;
  features.writeUIntLE(width - 1, 4, 3);
  features.writeUIntLE(height - 1, 7, 3);
  const chunks = Buffer.concat([chunk('VP8X', features), webp.subarray(12), chunk('EXIF', exif(text))]);
  return chunk('RIFF', Buffer.concat([Buffer.from('WEBP', 'latin1'), chunks]));
}

/** A chunk of a RIFF file, padded to an even length. */
function chunk(name: string, data: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.write(name, 'latin1');
  head.writeUInt32LE(data.length, 4);
  return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
}

/** EXIF with only a user comment: a directory inside another one, as TIFF structures them. */
function exif(text: string): Buffer {
  const comment = userComment(text);
  const DIRECTORY_BYTES = 2 + 12 + 4;
  const [first, second] = [8, 8 + DIRECTORY_BYTES];
  const bytes = Buffer.alloc(second + DIRECTORY_BYTES);
  bytes.write('MM\0*', 'latin1');
  bytes.writeUInt32BE(first, 4);
  writeDirectory(bytes, first, EXIF_DIRECTORY, LONG, 1, second);
  writeDirectory(bytes, second, USER_COMMENT, UNDEFINED, comment.length, bytes.length);
  return Buffer.concat([bytes, comment]);
}

/** A directory of one entry; the four bytes after it say that none follows. */
function writeDirectory(bytes: Buffer, at: number, tag: number, type: number, count: number, value: number): void {
  bytes.writeUInt16BE(1, at);
  bytes.writeUInt16BE(tag, at + 2);
  bytes.writeUInt16BE(type, at + 4);
  bytes.writeUInt32BE(count, at + 6);
  bytes.writeUInt32BE(value, at + 10);
}

/** Eight bytes name the character code. The web UI writes UTF-16 with the high byte first, and reads both orders. */
function userComment(text: string): Buffer {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is what they belong to.
  if (/^[\x00-\x7f]*$/.test(text)) return Buffer.from(`ASCII\0\0\0${text}`, 'latin1');
  return Buffer.concat([Buffer.from('UNICODE\0', 'latin1'), Buffer.from(text, 'utf16le').swap16()]);
}
