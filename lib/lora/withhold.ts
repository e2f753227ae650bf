// Errors about files that a prompt named, without what the files hold: whoever wrote the prompt may be anyone.

import { DiffusionError, type DiffusionErrorCode, describe } from '../errors.ts';
import type { FoundLora } from './files.ts';

/** What is said in place of the message. */
const REASONS: Partial<Record<DiffusionErrorCode, string>> = {
  ERR_FILE: 'cannot be read',
  ERR_MODEL_CORRUPT: 'is damaged, or no file of tensors',
  ERR_MODEL_UNSUPPORTED: 'is no LoRA, or one of a kind that this version does not apply',
  ERR_MODEL_INCOMPLETE: 'lacks a part of an adapter',
  ERR_MODEL_MISMATCH: 'has tensors that this model has no place for. It was made for a model of another family',
};

/**
 * Does work with LoRAs. Where it fails for a file that the prompt named, the error has its code and the name in the prompt, and nothing
 * of the file. Errors about files of the option `loras` stay as they are.
 */
export async function withholdContents<T>(loras: readonly FoundLora[], work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const reason = error instanceof DiffusionError ? REASONS[error.code] : undefined;
    const named = loras.filter(({ tag }) => tag !== undefined);
    if (!reason || named.length === 0) throw error;
    const { code, message } = error as DiffusionError;
    const isAbout = ({ path }: FoundLora) => message.startsWith(`'${path}'`) || message.includes(` '${path}'`);
    const own = named.find(isAbout) ?? (named.length === 1 ? named[0] : undefined);
    if (!named.some(isAbout) && loras.some((lora) => lora.tag === undefined && isAbout(lora))) throw error;
    const which = own ? `The LoRA ${describe(own.tag)} of the prompt` : 'One of the LoRAs of the prompt';
    const kind = / is an? ([A-Z(][\w()^-]{1,11}) \(it has the tensor /.exec(message)?.[1];
    throw new DiffusionError(
      code,
      `${which} ${kind ? `is of the kind ${kind}, which this version does not apply` : reason}`,
    );
  }
}
