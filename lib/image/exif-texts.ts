// Texts about how an image was made in JPEG and WebP files: in EXIF, in a JPEG comment, or in WebP XMP.

import { Buffer } from 'node:buffer';
import { isTurnOver, nextTurn } from '../async/slices.ts';
import { EXIF_DIRECTORY, EXIF_HEADER, USER_COMMENT } from './exif.ts';
import { decodeText, MAX_TEXT_BYTES } from './text-encoding.ts';

/** EXIF tags that hold such texts (EXIF 2.32). */
const IMAGE_DESCRIPTION = 0x010e;
const MAKE = 0x010f;
const MODEL = 0x0110;
const SOFTWARE = 0x0131;
const MAKER_NOTE = 0x927c;

/** Types of values that are bytes: BYTE, ASCII, UNDEFINED. */
const BYTE_TYPES = [1, 2, 7];
const ENTRY_BYTES = 12;

/**
 * Reads the texts under the keywords that PNG files use for them. A truncated file has those of its intact part. A text
 * that is too long in addition to those before it is ignored.
 *
 * @param file copied before the call returns.
 */
export async function readExifTexts(file: Uint8Array, format: 'JPEG' | 'WebP'): Promise<Map<string, string>> {
  const bytes = Buffer.from(file);
  const texts = new Map<string, string>();
  const seen = new Set<number>();
  let left = MAX_TEXT_BYTES;
  const add = (keyword: string, text: string) => {
    if (texts.has(keyword) || text === '' || text.length > left) return;
    left -= text.length;
    texts.set(keyword, text);
  };
  for await (const { kind, data } of format === 'WebP' ? webpChunks(bytes) : jpegSegments(bytes)) {
    if (kind === 'exif') readDirectories(data, seen, add);
    else if (kind === 'xmp') addXmp(data, add);
    else addComment(data, add);
  }
  return texts;
}

type Add = (keyword: string, text: string) => void;

interface Part {
  readonly kind: 'exif' | 'comment' | 'xmp';
  readonly data: Buffer;
}

/** The segments of a JPEG before its pixels (ITU-T T.81, annex B). */
async function* jpegSegments(file: Buffer): AsyncGenerator<Part> {
  const [START_OF_SCAN, END, APP1, COMMENT] = [0xda, 0xd9, 0xe1, 0xfe];
  let offset = 2;
  while (offset + 4 <= file.length && file[offset] === 0xff) {
    if (isTurnOver()) await nextTurn();
    const marker = file[offset + 1] as number;
    if (marker === 0xff) {
      offset += 1;
      continue;
    }
    if (marker === START_OF_SCAN || marker === END) return;
    const end = offset + 2 + file.readUInt16BE(offset + 2);
    if (end > file.length || end < offset + 4) return;
    const data = file.subarray(offset + 4, end);
    if (marker === APP1 && startsWithHeader(data)) yield { kind: 'exif', data: data.subarray(EXIF_HEADER.length) };
    if (marker === COMMENT) yield { kind: 'comment', data };
    offset = end;
  }
}

/** The chunks of a WebP file, each padded to an even length. */
async function* webpChunks(file: Buffer): AsyncGenerator<Part> {
  for (let offset = 12; offset + 8 <= file.length; ) {
    if (isTurnOver()) await nextTurn();
    const name = file.toString('latin1', offset, offset + 4);
    const length = file.readUInt32LE(offset + 4);
    const data = file.subarray(offset + 8, offset + 8 + length);
    if (data.length < length) return;
    if (name === 'EXIF') yield { kind: 'exif', data: data.subarray(startsWithHeader(data) ? EXIF_HEADER.length : 0) };
    if (name === 'XMP ' && length <= MAX_TEXT_BYTES) yield { kind: 'xmp', data };
    offset += 8 + length + (length % 2);
  }
}

function startsWithHeader(data: Buffer): boolean {
  return data.subarray(0, EXIF_HEADER.length).equals(EXIF_HEADER);
}

/** stable-diffusion.cpp writes the same into JPEG files as into PNG files: keyword, zero, text. */
function addComment(data: Buffer, add: Add): void {
  const zero = data.indexOf(0);
  if (zero > 0) add(data.toString('latin1', 0, zero), withoutZeros(decodeText(data.subarray(zero + 1))));
}

/** stable-diffusion.cpp's element in the XMP of WebP files. */
function addXmp(data: Buffer, add: Add): void {
  const xmp = decodeText(data);
  const [open, close] = ['<sdcpp:parameters>', '</sdcpp:parameters>'];
  const start = xmp.indexOf(open);
  const end = start < 0 ? -1 : xmp.indexOf(close, start);
  if (end >= 0) add('parameters', unescapeXml(xmp.slice(start + open.length, end)));
}

function unescapeXml(text: string): string {
  const characters: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (_entity, name: string) => characters[name] as string);
}

/** The first directory of a TIFF structure and the EXIF directory, which an entry of the first points to. */
function readDirectories(tiff: Buffer, seen: Set<number>, add: Add): void {
  if (tiff.length < 8) return;
  const littleEndian = tiff.toString('latin1', 0, 2) === 'II';
  const u32 = (offset: number) => (littleEndian ? tiff.readUInt32LE(offset) : tiff.readUInt32BE(offset));
  const inner = readDirectory(tiff, u32(4), littleEndian, seen, add);
  if (inner !== undefined) readDirectory(tiff, inner, littleEndian, seen, add);
}

/**
 * @param seen tags that were read; the first of each counts, so that many pointing to one place cost no more than one.
 * @returns the offset of the EXIF directory, if an entry has it.
 */
function readDirectory(
  tiff: Buffer,
  directory: number,
  littleEndian: boolean,
  seen: Set<number>,
  add: Add,
): number | undefined {
  const u16 = (offset: number) => (littleEndian ? tiff.readUInt16LE(offset) : tiff.readUInt16BE(offset));
  const u32 = (offset: number) => (littleEndian ? tiff.readUInt32LE(offset) : tiff.readUInt32BE(offset));
  if (directory + 2 > tiff.length) return undefined;
  let inner: number | undefined;
  for (let i = 0, entries = u16(directory); i < entries; i++) {
    const entry = directory + 2 + i * ENTRY_BYTES;
    if (entry + ENTRY_BYTES > tiff.length) break;
    const [tag, type, count] = [u16(entry), u16(entry + 2), u32(entry + 4)];
    if (tag === EXIF_DIRECTORY) inner = u32(entry + 8);
    const start = count <= 4 ? entry + 8 : u32(entry + 8);
    const isText = BYTE_TYPES.includes(type) && TEXT_TAGS.has(tag) && count <= MAX_TEXT_BYTES;
    if (!isText || seen.has(tag) || start + count > tiff.length) continue;
    seen.add(tag);
    addEntry(tag, tiff.subarray(start, start + count), add);
  }
  return inner;
}

const TEXT_TAGS = new Set([IMAGE_DESCRIPTION, MAKE, MODEL, SOFTWARE, MAKER_NOTE, USER_COMMENT]);

/** The PNG keyword for the text of a tag. Fooocus stores the name of its scheme in the maker's note. */
const KEYWORD_OF_TAG: Readonly<Record<number, string>> = {
  [SOFTWARE]: 'Software',
  [MAKER_NOTE]: 'fooocus_scheme',
  [USER_COMMENT]: 'parameters',
};

function addEntry(tag: number, data: Buffer, add: Add): void {
  const text = tag === USER_COMMENT ? userComment(data) : withoutZeros(decodeText(data));
  const keyword = KEYWORD_OF_TAG[tag];
  // ComfyUI and its nodes put the keyword before the text, whatever the tag.
  const [, named, rest] = /^(parameters|prompt): ?(.*)$/s.exec(text) ?? [];
  if (keyword !== undefined) add(keyword, text);
  else if (named !== undefined) add(named, rest as string);
}

/** UserComment begins with eight bytes that name its encoding; some programs omit them. */
function userComment(data: Buffer): string {
  const code = data.toString('latin1', 0, 8);
  const rest = data.subarray(8);
  if (code === 'UNICODE\0') return withoutZeros(decodeUtf16(rest));
  return withoutZeros(decodeText(code === 'ASCII\0\0\0' || /^\0{8}$/.test(code) ? rest : data));
}

/**
 * The web UI writes the upper byte first, others the lower, regardless of the file's byte order. ASCII, which every
 * such text contains, has upper bytes of zero; without any zeros it is UTF-8.
 */
function decodeUtf16(bytes: Buffer): string {
  const zeros = [0, 0];
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === 0) zeros[i % 2] = (zeros[i % 2] as number) + 1;
  const [even, odd] = zeros as [number, number];
  if (even === 0 && odd === 0) return decodeText(bytes);
  const units = Buffer.from(bytes.subarray(0, bytes.length - (bytes.length % 2)));
  const text = (even > odd ? units.swap16() : units).toString('utf16le');
  return text.replace(/^\ufeff/, '');
}

function withoutZeros(text: string): string {
  const zero = text.indexOf('\0');
  return zero < 0 ? text : text.slice(0, zero);
}
