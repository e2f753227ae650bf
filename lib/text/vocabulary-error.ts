// The wording of errors about vocabularies in files.
import { DiffusionError } from '../core/errors.ts';
import { quotePath } from '../files/user-file.ts';

/** An error to throw for a vocabulary that contradicts itself. `expected` also says what was found instead. */
export function corruptVocabulary(path: string, expected: string): DiffusionError {
  return new DiffusionError('ERR_MODEL_CORRUPT', `${quotePath(path)}: expected ${expected}. Download the file again`);
}

/** An error to throw for a vocabulary that is valid but none of this package's. */
export function unsupportedVocabulary(path: string, expected: string): DiffusionError {
  return new DiffusionError('ERR_MODEL_UNSUPPORTED', `${quotePath(path)}: expected ${expected}`);
}
