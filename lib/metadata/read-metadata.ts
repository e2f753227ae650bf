// Reading generation parameters back from an image.

import { types } from 'node:util';
import { argumentError, DiffusionError, describe } from '../core/errors.ts';
import { reportMemory } from '../core/out-of-memory.ts';
import { quotePath, readUserFile } from '../files/user-file.ts';
import { readExifTexts } from '../image/exif-texts.ts';
import { formatOf, IMAGE_FILE } from '../image/format.ts';
import { readTexts } from '../image/text-chunks.ts';
import { checkPath } from '../options/check.ts';
import { type ImageMetadata, interpret } from './interpret.ts';
import { KEYWORDS, readStatement, type Texts } from './texts.ts';

/**
 * Reads how an image was made, as this package, AUTOMATIC1111's web UI, Forge, stable-diffusion.cpp, ComfyUI, SwarmUI,
 * Fooocus, InvokeAI and NovelAI write it.
 *
 * @param file path of a PNG, JPEG or WebP file, or its bytes.
 * @throws DiffusionError `ERR_FILE` if the file cannot be read; `ERR_IMAGE` if it is no such image, no intact PNG, or
 *   holds no parameters; `ERR_OUT_OF_MEMORY`.
 * @throws TypeError or RangeError for anything but a path or bytes.
 */
export async function readMetadata(file: string | Uint8Array): Promise<ImageMetadata> {
  if (typeof file !== 'string' && !types.isUint8Array(file)) {
    const expected = 'a path or a Uint8Array';
    throw argumentError([{ name: 'file', expected, received: describe(file), code: 'ERR_INVALID_ARG_TYPE' }]);
  }
  return reportMemory(read(file));
}

async function read(file: string | Uint8Array): Promise<ImageMetadata> {
  const source = typeof file === 'string' ? quotePath(file) : 'the given buffer';
  const bytes = typeof file === 'string' ? await readUserFile(checkPath(file, 'file'), IMAGE_FILE) : file;
  const statement = readStatement(await textsOf(bytes, source));
  if (!statement) {
    throw new DiffusionError(
      'ERR_IMAGE',
      `Expected generation parameters in ${source} but it has no text that says how the image was made`,
    );
  }
  return interpret(statement);
}

async function textsOf(bytes: Uint8Array, source: string): Promise<Texts> {
  const format = formatOf(bytes);
  if (!format) throw new DiffusionError('ERR_IMAGE', `Expected a PNG, JPEG or WebP image but ${source} is not one`);
  return format === 'PNG' ? readTexts(bytes, source, KEYWORDS) : readExifTexts(bytes, format);
}
