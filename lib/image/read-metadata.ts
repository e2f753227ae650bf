// Reading generation parameters back from a picture.

import { argumentError, DiffusionError, describe } from '../errors.ts';
import { readInfotext } from '../metadata/infotext.ts';
import { type ImageMetadata, interpret } from '../metadata/interpret.ts';
import { MAX_FILE_BYTES } from '../picture/limits.ts';
import { quotePath, readUserFile } from '../user-file.ts';
import { PARAMETERS_KEYWORD } from './parameters.ts';
import { readTexts } from './text-chunks.ts';

/**
 * Reads how a picture was made from its `parameters` text, as this package, AUTOMATIC1111's web UI and stable-diffusion.cpp
 * write it.
 *
 * @param file path of a PNG file, or its bytes.
 * @throws DiffusionError `ERR_FILE` if the file cannot be read; `ERR_IMAGE` if it is no intact PNG or holds no parameters.
 * @throws TypeError `ERR_INVALID_ARG_TYPE` for anything but a path or bytes.
 */
export async function readMetadata(file: string | Uint8Array): Promise<ImageMetadata> {
  if (typeof file !== 'string' && !(file instanceof Uint8Array)) {
    const expected = 'a path or a Uint8Array';
    throw argumentError([{ name: 'file', expected, received: describe(file), code: 'ERR_INVALID_ARG_TYPE' }]);
  }
  const source = typeof file === 'string' ? quotePath(file) : 'the given buffer';
  const raw = readTexts(
    typeof file === 'string' ? await readUserFile(file, { maxBytes: MAX_FILE_BYTES }) : file,
    source,
  ).get(PARAMETERS_KEYWORD);
  if (raw === undefined) {
    throw new DiffusionError(
      'ERR_IMAGE',
      `Expected generation parameters in ${source} but it has no '${PARAMETERS_KEYWORD}' text`,
    );
  }
  return interpret(readInfotext(raw));
}
