// Hides file contents in errors about files that a prompt named: the prompt's author may be anyone.

import { dirname, join } from 'node:path';
import { DiffusionError, type DiffusionErrorCode, describe } from '../core/errors.ts';
import type { FoundLora } from './files.ts';

/** The text that replaces the message. */
const REASONS: Partial<Record<DiffusionErrorCode, string>> = {
  ERR_FILE: 'cannot be read',
  ERR_MODEL_CORRUPT: 'is damaged, or not a tensor file',
  ERR_MODEL_UNSUPPORTED: 'is not a LoRA, or of an unsupported type',
  ERR_MODEL_INCOMPLETE: 'lacks a part of an adapter',
  ERR_MODEL_MISMATCH: 'has tensors that this model has no place for. It was made for another model family',
};

/**
 * Does work with LoRAs. If it fails for a file that the prompt named, the error has its code and the name in the
 * prompt, and nothing from the file. Errors about files of the option `loras` stay as they are.
 */
export async function withholdContents<T>(loras: readonly FoundLora[], work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const reason = error instanceof DiffusionError ? REASONS[error.code] : undefined;
    if (!reason || loras.every(({ tag }) => tag === undefined)) throw error;
    const { code, message } = error as DiffusionError;
    const about = loras.filter(({ path }) => {
      const files = [path, join(dirname(path), 'adapter_config.json')].map(shown);
      return files.some((file) => message.startsWith(file) || message.includes(` ${file}`));
    });
    if (about.length > 0 && about.every(({ tag }) => tag === undefined)) throw error;
    const tags = new Set((about.length > 0 ? about : loras).map(({ tag }) => tag));
    const [own] = tags.size === 1 ? tags : [];
    const which = own === undefined ? 'One of the LoRAs in the prompt' : `The LoRA ${describe(own)} in the prompt`;
    const kind = / is an? ([A-Z(][\w()^-]{1,11}) \(it has the tensor /.exec(message)?.[1];
    throw new DiffusionError(code, `${which} ${kind ? `is of type ${kind}, which is not supported` : reason}`);
  }
}

/** Bytes of a path that a message of the engine repeats, except for an incomplete character. */
const MOST_SHOWN = 100;

/**
 * The beginning of a path as the engine's messages have it (`quote` in native/io/file_error.cc): several may begin
 * alike.
 */
function shown(path: string): string {
  let text = "'";
  let bytes = 1;
  for (const character of path) {
    if (bytes > MOST_SHOWN) return `${text}...'`;
    const code = character.charCodeAt(0);
    const part = code < 0x20 || code === 0x7f ? `\\x${code.toString(16).padStart(2, '0')}` : character;
    text += part;
    bytes += Buffer.byteLength(part);
  }
  return `${text}'`;
}
